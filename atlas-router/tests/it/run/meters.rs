//! What a host's recorder of metrics gets.

use super::ledgers::{Fate, Fated, Op};
use super::*;
use atlas_router::run::metric;
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What was recorded, by name and labels.
type Recorded = BTreeMap<String, Vec<f64>>;

#[derive(Debug, Clone, Default)]
struct Book {
    recorded: Arc<Mutex<Recorded>>,
    described: Arc<Mutex<Vec<String>>>,
}

struct Line(Book, String);

impl Line {
    fn write(&self, value: f64) {
        self.0.recorded.lock().unwrap().entry(self.1.clone()).or_default().push(value);
    }
}

impl CounterFn for Line {
    fn increment(&self, value: u64) {
        self.write(f64::from(u32::try_from(value).unwrap()));
    }

    fn absolute(&self, _: u64) {}
}

impl HistogramFn for Line {
    fn record(&self, value: f64) {
        self.write(value);
    }
}

impl Book {
    fn line(&self, key: &Key) -> Arc<Line> {
        let labels: BTreeMap<_, _> = key.labels().map(|label| (label.key(), label.value())).collect();
        let labels: Vec<String> = labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        Arc::new(Line(self.clone(), format!("{} {}", key.name(), labels.join(" ")).trim_end().to_owned()))
    }

    fn describe(&self, name: &KeyName) {
        self.described.lock().unwrap().push(name.as_str().to_owned());
    }
}

impl Recorder for Book {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.line(key))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.line(key))
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_gets_times_tokens_and_money_by_model_and_nothing_of_what_was_said() {
    let book = Book::default();
    let _recording = metrics::set_default_local_recorder(&book);
    metric::describe();
    let slow = ok().after(std::time::Duration::from_millis(1500));
    let rig = Rig::new([Turn::status(503), slow, Turn::hang()], []);
    rig.run().await.unwrap();
    let cancel = CancellationToken::new();
    let stopped = request();
    let (end, ()) = tokio::join!(rig.router.run(&stopped, &cancel), async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        cancel.cancel();
    });
    end.unwrap_err();
    let recorded = book.recorded.lock().unwrap().clone();
    let model = "gen_ai.provider.name=a gen_ai.request.model=a1";
    let chat = format!("gen_ai.operation.name=chat {model}");
    let got = |name: &str| recorded.get(name).cloned().unwrap_or_else(|| panic!("no {name} in {recorded:?}"));
    assert_eq!(got(&format!("gen_ai.client.operation.duration {chat}")), [1.5]);
    for error in ["Overloaded", "Cancelled"] {
        assert_eq!(got(&format!("gen_ai.client.operation.duration error.type={error} {chat}")).len(), 1);
    }
    assert_eq!(got(&format!("gen_ai.client.token.usage {chat} gen_ai.token.type=input")), [8.0]);
    assert_eq!(got(&format!("gen_ai.client.token.usage {chat} gen_ai.token.type=output")), [5.0]);
    assert_eq!(got(&format!("atlas.router.cost atlas.charge=settled {model}")), [58.0]);
    assert_eq!(got(&format!("atlas.router.cost atlas.charge=open {model}")), [1008.0]);
    assert_eq!(got(&format!("atlas.router.wait.duration {model}")).len(), 3);
    assert_eq!(
        (got("atlas.router.requests"), got("atlas.router.requests error.type=Cancelled")),
        (vec![1.0], vec![1.0])
    );
    assert_eq!(got("atlas.router.request.calls"), [2.0, 1.0]);
    // Each is described, and each that is described has its name here.
    let described = book.described.lock().unwrap().clone();
    for name in recorded.keys().map(|line| line.split(' ').next().unwrap()) {
        assert!(described.iter().any(|known| known == name), "{name}");
    }
    assert_eq!(described.len(), 7 + usize::from(cfg!(feature = "structured")));
}

#[tokio::test(start_paused = true)]
async fn models_that_are_passed_over_and_dropped_streams_are_counted() {
    let book = Book::default();
    let _recording = metrics::set_default_local_recorder(&book);
    let rig = Rig::new([Turn::pieces(["hel"], Turn::hang())], []);
    rig.ledger.limit(vec![(tenant(), Some(BOUND))]).await.unwrap();
    let answering = rig.router.stream(&request(), &CancellationToken::new()).await.unwrap();
    drop(answering);
    rig.run().await.unwrap_err();
    let recorded = book.recorded.lock().unwrap().clone();
    let over = |model: &str| {
        format!(
            "atlas.router.passed_over atlas.reason=Budget gen_ai.provider.name={} gen_ai.request.model={model}",
            &model[..1]
        )
    };
    for model in ["a1", "a2", "b1"] {
        assert!(recorded.contains_key(&over(model)), "{model}: {recorded:?}");
    }
    let open = "atlas.router.cost atlas.charge=open gen_ai.provider.name=a gen_ai.request.model=a1";
    assert_eq!(recorded[open], [1008.0]);
}

#[cfg(feature = "structured")]
#[tokio::test(start_paused = true)]
async fn structured_replies_are_counted_by_whether_they_fit() {
    use atlas_router::client::JsonSchema;
    use atlas_router::run::AskOptions;
    use atlas_router::structured::Shape;

    let book = Book::default();
    let _recording = metrics::set_default_local_recorder(&book);
    let shape = Shape::new(JsonSchema::loose("s", serde_json::json!({"type": "object"})).unwrap()).unwrap();
    let rig = Rig::new(["no", "{}", "{},"].map(|text| Turn::text(text, 8, 5)), []);
    for _ in 0..2 {
        rig.router.ask(&request(), &shape, AskOptions::default(), &CancellationToken::new()).await.unwrap();
    }
    let recorded = book.recorded.lock().unwrap().clone();
    for reply in ["fits", "repaired", "rejected"] {
        assert_eq!(recorded[&format!("atlas.router.structured.replies atlas.reply={reply}")], [1.0]);
    }
}

#[cfg(feature = "structured")]
#[tokio::test(start_paused = true)]
async fn a_request_is_counted_once_however_often_it_is_asked() {
    use atlas_router::client::JsonSchema;
    use atlas_router::run::AskOptions;
    use atlas_router::structured::Shape;

    let book = Book::default();
    let _recording = metrics::set_default_local_recorder(&book);
    let shape = Shape::new(JsonSchema::loose("s", serde_json::json!({"type": "object"})).unwrap()).unwrap();
    let rig = Rig::new(["no", "{}", "no", "no", "no"].map(|text| Turn::text(text, 8, 5)), []);
    let ask = || async { rig.router.ask(&request(), &shape, AskOptions::default(), &CancellationToken::new()).await };
    ask().await.unwrap();
    ask().await.unwrap_err();
    let recorded = book.recorded.lock().unwrap().clone();
    assert_eq!(recorded["atlas.router.requests"], [1.0]);
    assert_eq!(recorded["atlas.router.requests error.type=SchemaMismatch"], [1.0]);
    assert_eq!(recorded["atlas.router.request.calls"], [2.0, 3.0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_call_costs_is_told_once_though_nobody_waits_for_its_end() {
    let brief = std::time::Duration::from_secs(1);
    let slow = || Arc::new(Fated::new([(Op::Settle, Fate::Slow(brief * 2))]));
    let model = "gen_ai.provider.name=a gen_ai.request.model=a1";
    let cancelled = "atlas.router.requests error.type=Cancelled";
    // A stream that is dropped while its call is settled.
    let book = Book::default();
    let recording = metrics::set_default_local_recorder(&book);
    let rig = Rig::with(slow(), [Turn::pieces(["hel"], ok())], [], |builder| builder);
    let mut answering = rig.router.stream(&request(), &CancellationToken::new()).await.unwrap();
    answering.next().await.unwrap().unwrap();
    assert!(tokio::time::timeout(brief, answering.next()).await.is_err());
    drop(answering);
    settle_down().await;
    assert_eq!(rig.money().await, (Usd::ZERO, cost()));
    drop(recording);
    let recorded = std::mem::take(&mut *book.recorded.lock().unwrap());
    assert_eq!(recorded[&format!("atlas.router.cost atlas.charge=settled {model}")], [58.0]);
    assert_eq!(recorded[cancelled], [1.0]);
    assert_eq!(recorded["atlas.router.request.calls"], [1.0]);
    assert_eq!(
        recorded[&format!("gen_ai.client.token.usage gen_ai.operation.name=chat {model} gen_ai.token.type=output")],
        [5.0]
    );
    // A request that is dropped while its call is settled, and one whose call is under way.
    for (ledger, turn, charge) in [(slow(), ok(), "settled"), (slow(), Turn::hang(), "open")] {
        let recording = metrics::set_default_local_recorder(&book);
        let rig = Rig::with(ledger, [turn], [], |builder| builder);
        assert!(tokio::time::timeout(brief, rig.run()).await.is_err());
        settle_down().await;
        drop(recording);
        let recorded = std::mem::take(&mut *book.recorded.lock().unwrap());
        let told = if charge == "open" { 1008.0 } else { 58.0 };
        assert_eq!(recorded[&format!("atlas.router.cost atlas.charge={charge} {model}")], [told]);
        assert_eq!(recorded[cancelled], [1.0]);
    }
}

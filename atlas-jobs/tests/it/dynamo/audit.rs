//! Whether a table hangs together: every item belongs to a job that says so, and nothing is left over.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::{BTreeMap, BTreeSet, HashMap};

type Item = HashMap<String, AttributeValue>;

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).map_or("", |value| value.as_s().unwrap())
}

fn number(item: &Item, name: &str) -> i64 {
    item.get(name).map_or(0, |value| value.as_n().unwrap().parse().unwrap())
}

/// Reads the whole table and panics over the first item that does not fit.
pub(crate) async fn audit(client: &Client, table: &str) {
    let mut items: Vec<Item> = Vec::new();
    let mut after = None;
    loop {
        let page = client.scan().table_name(table).consistent_read(true).set_exclusive_start_key(after).send().await;
        let page = page.unwrap();
        items.extend(page.items.unwrap_or_default());
        after = page.last_evaluated_key;
        if after.is_none() {
            break;
        }
    }
    let jobs: BTreeMap<&str, &Item> =
        items.iter().filter(|item| text(item, "sk") == "M").map(|item| (&text(item, "pk")[2..], item)).collect();
    // What the jobs say should be there.
    let mut expected: BTreeSet<(String, String)> = BTreeSet::new();
    let mut leased: BTreeSet<(String, String)> = BTreeSet::new();
    let (mut running, mut counts) = (BTreeMap::new(), BTreeMap::new());
    for (id, job) in &jobs {
        let record: serde_json::Value = serde_json::from_str(text(job, "rec")).unwrap();
        let field = |name: &str| record[name].as_str();
        let (inc, version) = (text(job, "inc"), number(job, "ver"));
        let mut expect = |pk: String, sk: String| {
            assert!(expected.insert((pk, sk)));
        };
        // The end of the history is in the job's item, without a gap, and the rest beside it.
        let own: BTreeSet<i64> = job.keys().filter_map(|name| name[1..].parse().ok()).collect();
        let moved = own.first().map_or(version, |first| first - 1);
        assert_eq!(own, (moved + 1..=version).collect(), "{id}: a gap in its history");
        (1..=moved).for_each(|version| expect(format!("J#{id}"), format!("E#{inc}#{version:016}")));
        for part in ["payload", "result"] {
            if job.contains_key(&format!("{part}_item")) {
                expect(format!("J#{id}"), format!("{part}#{inc}"));
            }
        }
        let tenant = field("tenant").unwrap();
        if let Some(key) = field("idempotencyKey") {
            expect(format!("I#{tenant}#{key}"), "I".into());
        }
        if let Some(external) = field("externalId") {
            expect(format!("X#{tenant}#{external}"), "X".into());
        }
        if let Some(worker) = record["lease"]["worker"].as_str() {
            leased.insert((format!("W#{worker}"), format!("{id}#{}#{inc}", record["epoch"])));
        }
        let status = field("status").unwrap();
        assert_eq!(status, text(job, "stat"));
        assert_eq!(record["version"].as_i64(), Some(version));
        if job.contains_key("slot") {
            *running.entry(field("queue").unwrap().to_owned()).or_insert(0) += 1;
        }
        *counts.entry(status.to_owned()).or_insert(0) += 1;
        // A job stands in the index that its status asks for, and in no other.
        let place = text(job, "g1p").split('#').next().unwrap_or_default().to_owned();
        let wanted = match status {
            "pending" => "R",
            "processing" => "",
            _ => "Z",
        };
        assert_eq!(place, wanted, "{status}");
    }
    let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sums = [0; 6];
    for item in &items {
        let (pk, sk) = (text(item, "pk"), text(item, "sk"));
        match pk.split('#').next().unwrap() {
            "J" if sk == "M" => {}
            // A list may outlive its jobs: nobody relies on it then.
            "W" => {
                for lease in text(item, "held").split(' ') {
                    leased.remove(&(pk.into(), lease.into()));
                }
            }
            "J" | "I" | "X" => {
                assert!(expected.remove(&(pk.into(), sk.into())), "{pk} {sk} belongs to nobody");
                if let Some(id) = item.get("id") {
                    assert!(jobs.contains_key(id.as_s().unwrap().as_str()), "{pk} names a job that is gone");
                }
            }
            "L" | "T" | "C" => {
                let id = sk.split('#').next_back().unwrap();
                assert!(jobs.contains_key(id), "{pk} {sk} lists a job that is gone");
                *listed.entry(id).or_default() += 1;
            }
            "K" => (0..6).for_each(|place| sums[place] += number(item, &format!("n{place}"))),
            "N" => assert_eq!(number(item, "running"), running.remove(&pk[2..]).unwrap_or(0), "{pk}"),
            "G" => panic!("{pk} {sk}: litter is left"),
            "META" | "B" | "Q" | "O" => {}
            other => panic!("{other}: what is that?"),
        }
    }
    assert!(leased.is_empty(), "leased jobs that no list names: {leased:?}");
    assert!(expected.is_empty(), "missing: {expected:?}");
    assert!(running.values().all(|count| *count == 0), "slots that nobody counts: {running:?}");
    for (id, job) in &jobs {
        let record: serde_json::Value = serde_json::from_str(text(job, "rec")).unwrap();
        assert_eq!(listed[id], 2 + usize::from(record.get("parent").is_some()));
    }
    let statuses = ["pending", "processing", "completed", "failed", "cancelled", "timeout"];
    let counted = statuses.map(|status| counts.get(status).copied().unwrap_or(0));
    assert_eq!(sums, counted, "the counters are those of the jobs");
}

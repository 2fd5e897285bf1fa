//! What stands where in the table: events that move out of a job's item, and lists of what workers claimed.

use super::audit::audit;
use super::caller::{LEASE, kind, noon, queue};
use super::faults::{Fault, Faulty};
use super::{client, client_over, unused_table};
use atlas_jobs::dynamodb::{DynamoOptions, create_table};
use atlas_jobs::state::Retry;
use atlas_jobs::store::{
    Ack, AckAction, AckOutcome, Claim, CommandRequest, Exchange, Exchanged, HistoryOptions, JobCommand, Purge,
    PurgeOptions, SweepOptions,
};
use atlas_jobs::{DynamoJobs, JobSpec, JobStore, JobStoreExt, Kind, NewJob, Random};
use atlas_schema::{Actor, ErrorCategory, JobError, JobId, JobRecord, JobStatus, Stage, WorkerId};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A table with a store over a connection that breaks as planned, and one that does not.
pub(super) struct Table {
    pub(super) client: Client,
    pub(super) name: String,
    pub(super) faulty: Faulty,
    pub(super) store: DynamoJobs,
    beat: u64,
}

impl Table {
    pub(super) async fn new() -> Self {
        Self::with(|_, _| Fault::None).await
    }

    pub(super) async fn with(plan: impl Fn(usize, &str) -> Fault + Send + Sync + 'static) -> Self {
        let (url, name) = (testkit::dynamo::shared(), unused_table());
        let client = client(&url);
        create_table(&client, &name).await.unwrap();
        let faulty = Faulty::new(aws_smithy_http_client::Builder::new().build_http(), plan);
        let options = DynamoOptions::new(&name, Stage::Dev);
        let store = DynamoJobs::open(client_over(&url, faulty.clone()), options).await.unwrap();
        Self { client, name, faulty, store, beat: 0 }
    }

    /// Another process.
    pub(super) async fn another(&self) -> DynamoJobs {
        DynamoJobs::open(self.client.clone(), DynamoOptions::new(&self.name, Stage::Dev)).await.unwrap()
    }

    pub(super) async fn enqueue(&self, count: usize) -> Vec<JobId> {
        let random = Random::seeded(1);
        let spec = || JobSpec::new(kind(), &"x").unwrap().with_max_attempts(1000);
        let job = |_| NewJob::new(spec(), Stage::Dev, random.job_id(noon().wall), random.correlation_id());
        let jobs: Vec<NewJob> = (0..count).map(job).collect();
        let ids = jobs.iter().map(NewJob::id).collect();
        self.store.enqueue(jobs, noon()).await.unwrap();
        ids
    }

    pub(super) fn exchange(&mut self, limit: usize, acks: Vec<Ack>) -> Exchange {
        self.beat += 1;
        let exchange = Exchange::new(worker(), self.beat, LEASE, noon()).with_acks(acks);
        exchange.with_claim(Claim { queues: vec![queue()], kinds: vec![kind()], limit })
    }

    pub(super) async fn trade(&mut self, limit: usize, acks: Vec<Ack>) -> Exchanged {
        let exchange = self.exchange(limit, acks);
        self.store.exchange(exchange).await.unwrap()
    }

    /// The items of a partition.
    async fn items(&self, partition: &str) -> Vec<HashMap<String, AttributeValue>> {
        let query = self.client.query().table_name(&self.name).consistent_read(true);
        let query = query.key_condition_expression("pk = :pk");
        let query = query.expression_attribute_values(":pk", AttributeValue::S(partition.into()));
        query.send().await.unwrap().items.unwrap()
    }

    pub(super) async fn lists(&self) -> usize {
        self.items("W#one").await.len()
    }

    /// The item of a job.
    pub(super) async fn item(&self, id: JobId) -> HashMap<String, AttributeValue> {
        let items = self.items(&format!("J#{id}")).await;
        items.into_iter().find(|item| item["sk"] == AttributeValue::S("M".into())).unwrap()
    }
}

/// Holds the request of this number that does such a thing.
fn held(what: &'static str, number: usize) -> impl Fn(usize, &str) -> Fault + Send + Sync + 'static {
    let requests = AtomicUsize::new(0);
    move |_, operation| {
        let it = operation == what && requests.fetch_add(1, Ordering::SeqCst) == number;
        if it { Fault::Held } else { Fault::None }
    }
}

fn worker() -> WorkerId {
    WorkerId::new("one").unwrap()
}

fn done(job: &JobRecord) -> Ack {
    Ack { job: job.id, epoch: job.epoch, action: AckAction::Complete { result: 1.into() } }
}

fn back(job: &JobRecord) -> Ack {
    Ack { job: job.id, epoch: job.epoch, action: AckAction::Release { delay: Duration::ZERO } }
}

/// A job from elsewhere, where the worker holds it.
async fn arrival() -> NewJob {
    let mut source = Table::new().await;
    let id = source.enqueue(1).await[0];
    source.trade(1, Vec::new()).await;
    NewJob::migrated(source.store.get_one(id.into()).await.unwrap().unwrap())
}

testkit::with_dynamodb! {
    #[tokio::test]
    async fn a_claim_and_its_completion_write_each_job_twice_and_little_else() {
        let mut table = Table::new().await;
        table.enqueue(90).await;
        let (requests, written) = (table.faulty.requests().len(), table.faulty.written());
        let acks: Vec<Ack> = table.trade(90, Vec::new()).await.claimed.iter().map(done).collect();
        assert_eq!(acks.len(), 90);
        table.trade(0, acks).await;
        let (requests, written) = (table.faulty.requests().len() - requests, table.faulty.written() - written);
        // Each job twice; two beats, the counters of two transactions, and a list that is written and deleted.
        assert_eq!(written, 180 + 6);
        // Two beats, three questions about what there is, the jobs, two transactions, and the list's deletion.
        assert_eq!(requests, 9, "{:?}", table.faulty.requests());
    }

    #[tokio::test]
    async fn pages_of_one_event_neither_skip_nor_repeat_while_events_move_out_of_the_job() {
        let mut table = Table::new().await;
        let id = table.enqueue(1).await[0];
        let (mut acks, mut cursor, mut versions) = (Vec::new(), None, Vec::new());
        for _ in 0..14 {
            // Two more events for each that is read: the place of the cursor moves from the job's item to the others.
            acks = table.trade(1, acks).await.claimed.iter().map(back).collect();
            let options = HistoryOptions::new(id).with_limit(1).with_cursor(cursor.take());
            let page = table.store.history(options).await.unwrap();
            versions.extend(page.items.iter().map(|event| event.version));
            cursor = page.next;
        }
        while cursor.is_some() {
            let options = HistoryOptions::new(id).with_limit(1).with_cursor(cursor.take());
            let page = table.store.history(options).await.unwrap();
            versions.extend(page.items.iter().map(|event| event.version));
            cursor = page.next;
        }
        assert_eq!(versions, (1..=28).collect::<Vec<_>>());
        let whole = table.store.history_all(id).await.unwrap();
        assert_eq!(whole.iter().map(|event| (event.job, event.version)).collect::<Vec<_>>(), (1..=28).map(|n| (id, n)).collect::<Vec<_>>());
        assert!(whole[1..].iter().all(|event| event.correlation_id == whole[0].correlation_id && event.actor == Actor::Worker { id: worker() }));
        let own = table.item(id).await.keys().filter(|name| name[1..].parse::<u64>().is_ok()).count();
        assert_eq!(own, 8);
        audit(&table.client, &table.name).await;
    }

    #[tokio::test]
    async fn events_of_many_words_do_not_swell_the_item_of_a_job() {
        let mut table = Table::new().await;
        let id = table.enqueue(1).await[0];
        let error = || JobError { category: ErrorCategory::Network, message: "\u{e9}".repeat(5000) };
        let mut acks = Vec::new();
        for _ in 0..4 {
            let fail = || AckAction::Fail { error: error(), retry: Retry::After(Duration::ZERO) };
            let claimed = table.trade(1, acks).await.claimed;
            acks = claimed.iter().map(|job| Ack { job: job.id, epoch: job.epoch, action: fail() }).collect();
        }
        table.trade(0, acks).await;
        let item = table.item(id).await;
        let events: usize = item.iter().filter(|(name, _)| name[1..].parse::<u64>().is_ok()).map(|(_, value)| value.as_s().unwrap().len()).sum();
        assert!(events <= 4096, "{events}");
        let whole = table.store.history_all(id).await.unwrap();
        assert_eq!(whole.iter().map(|event| event.version).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
        assert_eq!(whole.iter().filter(|event| event.error == Some(error())).count(), 4);
        audit(&table.client, &table.name).await;
    }

    #[tokio::test]
    async fn a_purge_takes_the_events_that_moved_out_with_the_job() {
        let mut table = Table::new().await;
        let id = table.enqueue(1).await[0];
        let mut acks = Vec::new();
        for _ in 0..6 {
            acks = table.trade(1, acks).await.claimed.iter().map(back).collect();
        }
        table.trade(0, acks).await;
        assert!(table.items(&format!("J#{id}")).await.len() > 1, "events have moved out");
        assert_eq!(table.store.purge(PurgeOptions::new(Purge::Jobs(vec![id]))).await.unwrap().jobs, 1);
        assert_eq!(table.items(&format!("J#{id}")).await, []);
        assert_eq!(table.store.history_all(id).await.unwrap(), []);
        audit(&table.client, &table.name).await;
    }

    #[tokio::test]
    async fn a_table_of_an_unreleased_format_is_refused() {
        let table = Table::new().await;
        let text = |text: &str| AttributeValue::S(text.into());
        let update = table.client.update_item().table_name(&table.name).key("pk", text("META")).key("sk", text("META"));
        let update = update.update_expression("SET #format = :one").expression_attribute_names("#format", "format");
        update.expression_attribute_values(":one", AttributeValue::N("1".into())).send().await.unwrap();
        let options = DynamoOptions::new(&table.name, Stage::Dev);
        assert_eq!(DynamoJobs::open(table.client.clone(), options).await.unwrap_err().kind(), Kind::Corrupt);
    }

    #[tokio::test]
    async fn a_claim_whose_reply_was_lost_is_found_by_its_list_and_handed_back() {
        let claims = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&claims);
        // The first transaction adds the jobs, the second takes them.
        let mut table = Table::with(move |_, operation| {
            let lost = operation == "TransactWriteItems" && seen.fetch_add(1, Ordering::SeqCst) == 1;
            if lost { Fault::AnswerLost } else { Fault::None }
        }).await;
        table.enqueue(5).await;
        let exchange = table.exchange(5, Vec::new());
        table.store.exchange(exchange).await.unwrap_err();
        assert_eq!(table.lists().await, 1, "they are leased");
        audit(&table.client, &table.name).await;
        let exchange = table.exchange(0, Vec::new()).with_reconcile(true);
        assert_eq!(table.store.exchange(exchange).await.unwrap().reconciled, 5);
        assert_eq!(table.lists().await, 0);
        let claimed = table.trade(5, Vec::new()).await.claimed;
        assert_eq!(claimed.iter().map(|job| job.epoch).collect::<Vec<_>>(), [2; 5]);
    }

    #[tokio::test]
    async fn a_list_whose_deletion_was_lost_is_deleted_later() {
        for fault in [Fault::Down, Fault::AnswerLost] {
            let deletions = Arc::new(AtomicUsize::new(0));
            let seen = Arc::clone(&deletions);
            let mut table = Table::with(move |_, operation| {
                let lost = operation == "BatchWriteItem" && seen.fetch_add(1, Ordering::SeqCst) == 0;
                if lost { fault } else { Fault::None }
            }).await;
            table.enqueue(3).await;
            let acks: Vec<Ack> = table.trade(3, Vec::new()).await.claimed.iter().map(done).collect();
            let acked = table.trade(0, acks).await.acks;
            assert!(acked.iter().all(|ack| matches!(ack, AckOutcome::Applied { .. })));
            assert_eq!(deletions.load(Ordering::SeqCst), 1);
            table.trade(0, Vec::new()).await;
            assert_eq!(table.lists().await, 0);
        }
    }

    #[tokio::test]
    async fn hundreds_of_claims_of_one_worker_leave_no_lists_behind() {
        const CLAIMS: usize = 150;
        let mut table = Table::new().await;
        table.enqueue(CLAIMS + 1).await;
        let kept = table.trade(1, Vec::new()).await.claimed.remove(0);
        let mut acks = Vec::new();
        for round in 0..CLAIMS {
            acks = table.trade(1, acks).await.claimed.iter().map(done).collect();
            assert_eq!(acks.len(), 1);
            if round % 20 == 19 {
                assert!(table.lists().await <= 30, "they are deleted meanwhile");
            }
        }
        table.trade(1, acks).await;
        assert_eq!(table.lists().await, 1, "what is still held is still listed");
        audit(&table.client, &table.name).await;
        table.trade(0, vec![done(&kept)]).await;
        assert_eq!(table.lists().await, 0);
    }

    #[tokio::test]
    async fn a_worker_that_is_served_by_another_process_each_time_leaves_no_lists_behind() {
        let mut table = Table::new().await;
        table.enqueue(12).await;
        let mut acks = Vec::new();
        for _ in 0..12 {
            table.store = table.another().await;
            acks = table.trade(1, acks).await.claimed.iter().map(done).collect();
            assert!(table.lists().await <= 2);
        }
        table.store = table.another().await;
        table.trade(1, acks).await;
        assert_eq!(table.lists().await, 0);
    }

    #[tokio::test]
    async fn jobs_that_others_end_leave_no_lists_behind() {
        let mut table = Table::new().await;
        let id = table.enqueue(1).await[0];
        let claimed = table.trade(1, Vec::new()).await.claimed;
        let other = table.another().await;
        let cancel = JobCommand::Cancel { reason: "no need".into(), acknowledge_within: Duration::ZERO };
        let request = CommandRequest { job: id, if_version: None, command: cancel };
        other.command(vec![request], Actor::Caller {}, noon()).await.unwrap();
        let later = noon().plus(LEASE);
        assert_eq!(other.sweep(SweepOptions::new(later)).await.unwrap().cancelled, 1);
        assert_eq!(table.lists().await, 1);
        let outcome = table.trade(0, vec![done(&claimed[0])]).await.acks.remove(0);
        assert_eq!(outcome, AckOutcome::Lost { epoch: 1, status: JobStatus::Cancelled });
        assert_eq!(table.lists().await, 0);
    }

    #[tokio::test]
    async fn a_silent_workers_jobs_are_found_by_their_lists_and_the_lists_deleted() {
        let mut table = Table::new().await;
        table.enqueue(7).await;
        let claimed = table.trade(4, Vec::new()).await.claimed;
        table.trade(3, claimed[..2].iter().map(done).collect()).await;
        let other = table.another().await;
        let sweep = SweepOptions::new(noon()).with_dead(vec![worker()]);
        // A sweep that ends fewer than there are leaves the lists of the others.
        assert_eq!(other.sweep(sweep.clone().with_limit(3)).await.unwrap().expired, 3);
        audit(&table.client, &table.name).await;
        assert_eq!(other.sweep(sweep).await.unwrap().expired, 2);
        assert_eq!(table.lists().await, 0);
        audit(&table.client, &table.name).await;
    }

    #[tokio::test]
    async fn a_list_stays_while_anything_on_it_is_held() {
        let mut table = Table::new().await;
        table.enqueue(4).await;
        let claimed = table.trade(4, Vec::new()).await.claimed;
        table.trade(0, claimed[..3].iter().map(done).collect()).await;
        audit(&table.client, &table.name).await;
        let sweep = SweepOptions::new(noon()).with_dead(vec![worker()]);
        assert_eq!(table.another().await.sweep(sweep).await.unwrap().expired, 1);
    }

    #[tokio::test]
    async fn a_list_whose_claim_does_not_show_yet_stays() {
        let mut table = Table::new().await;
        let id = table.enqueue(1).await[0];
        table.trade(0, Vec::new()).await;
        let incarnation = table.item(id).await["inc"].as_s().unwrap().clone();
        let text = |text: String| AttributeValue::S(text);
        let put = table.client.put_item().table_name(&table.name).item("pk", text("W#one".into()));
        let put = put.item("sk", text(format!("L#{:032x}", 1)));
        put.item("held", text(format!("{id}#1#{incarnation}"))).send().await.unwrap();
        let sweep = SweepOptions::new(noon()).with_dead(vec![worker()]);
        assert_eq!(table.store.sweep(sweep.clone()).await.unwrap().expired, 0);
        assert_eq!(table.lists().await, 1);
        assert_eq!(table.trade(1, Vec::new()).await.claimed.len(), 1);
        assert_eq!(table.store.sweep(sweep).await.unwrap().expired, 1);
        assert_eq!(table.lists().await, 0);
    }

    #[tokio::test]
    async fn a_list_whose_job_does_not_show_yet_stays() {
        let hidden = Arc::new(AtomicBool::new(false));
        let hides = Arc::clone(&hidden);
        let unseen = move |_: usize, _: &str| if hides.load(Ordering::SeqCst) { Fault::Unseen } else { Fault::None };
        let mut table = Table::with(unseen).await;
        let id = table.enqueue(1).await[0];
        table.trade(1, Vec::new()).await;
        let sweep = SweepOptions::new(noon()).with_dead(vec![worker()]);
        hidden.store(true, Ordering::SeqCst);
        assert_eq!(table.store.sweep(sweep.clone()).await.unwrap().expired, 0);
        hidden.store(false, Ordering::SeqCst);
        assert_eq!(table.store.sweep(sweep).await.unwrap().expired, 1);
        assert_eq!(table.lists().await, 0);
        assert_eq!(table.store.get_one(id.into()).await.unwrap().unwrap().status, JobStatus::Pending);
    }

    #[tokio::test]
    async fn a_list_that_can_not_be_read_whole_stays_though_the_rest_of_it_is_over() {
        let mut table = Table::new().await;
        table.enqueue(2).await;
        let claimed = table.trade(2, Vec::new()).await.claimed;
        let mut list = table.items("W#one").await.remove(0);
        let entries = list["held"].as_s().unwrap().clone();
        let damaged = entries.replace(&format!("{}#1#", claimed[1].id), "?");
        list.insert("held".into(), AttributeValue::S(damaged));
        table.client.put_item().table_name(&table.name).set_item(Some(list.clone())).send().await.unwrap();
        table.store = table.another().await;
        table.trade(1, Vec::new()).await;
        table.trade(0, vec![done(&claimed[0])]).await;
        assert_eq!(table.lists().await, 1);
        // Mended, it leads to the other job.
        list.insert("held".into(), AttributeValue::S(entries));
        table.client.put_item().table_name(&table.name).set_item(Some(list)).send().await.unwrap();
        let sweep = SweepOptions::new(noon()).with_dead(vec![worker()]);
        assert_eq!(table.another().await.sweep(sweep).await.unwrap().expired, 1);
    }

    #[tokio::test]
    async fn a_reconcile_waits_for_a_claim_that_is_landing() {
        let hidden = Arc::new(AtomicBool::new(false));
        let hides = Arc::clone(&hidden);
        // The job shows with the second look.
        let unseen = move |_: usize, operation: &str| {
            if operation == "GetItem" && hides.swap(false, Ordering::SeqCst) { Fault::Unseen } else { Fault::None }
        };
        let mut table = Table::with(unseen).await;
        table.enqueue(1).await;
        assert_eq!(table.trade(1, Vec::new()).await.claimed.len(), 1);
        hidden.store(true, Ordering::SeqCst);
        let reconcile = table.exchange(0, Vec::new()).with_reconcile(true);
        assert_eq!(table.store.exchange(reconcile).await.unwrap().reconciled, 1);
    }

    #[tokio::test]
    async fn a_sweep_does_not_forget_a_worker_whose_job_arrives_while_it_does() {
        let table = Table::with(held("DeleteItem", 0)).await;
        let other = table.another().await;
        other.exchange(Exchange::new(worker(), 1, LEASE, noon())).await.unwrap();
        let sweep = SweepOptions::new(noon().plus(Duration::from_hours(48))).with_dead(vec![worker()]);
        let (store, swept) = (table.store.clone(), sweep.clone());
        let forgetting = tokio::spawn(async move { store.sweep(swept).await });
        table.faulty.held().await;
        other.enqueue(vec![arrival().await], noon()).await.unwrap();
        table.faulty.let_go();
        forgetting.await.unwrap().unwrap();
        assert_eq!(other.sweep(sweep).await.unwrap().expired, 1);
    }

    #[tokio::test]
    async fn a_sweep_does_not_forget_a_worker_whose_job_has_arrived_and_does_not_show_yet() {
        let hidden = Arc::new(AtomicBool::new(false));
        let hides = Arc::clone(&hidden);
        let table = Table::with(move |_, _| if hides.load(Ordering::SeqCst) { Fault::Unlisted } else { Fault::None }).await;
        table.store.exchange(Exchange::new(worker(), 1, LEASE, noon())).await.unwrap();
        let later = noon().plus(Duration::from_hours(48));
        table.store.enqueue(vec![arrival().await], later).await.unwrap();
        let sweep = SweepOptions::new(later).with_dead(vec![worker()]);
        hidden.store(true, Ordering::SeqCst);
        assert_eq!(table.store.sweep(sweep.clone()).await.unwrap().expired, 0);
        hidden.store(false, Ordering::SeqCst);
        assert_eq!(table.store.sweep(sweep).await.unwrap().expired, 1);
    }

    #[tokio::test]
    async fn a_sweep_that_meets_a_job_that_arrives_goes_on_and_forgets_its_worker_another_time() {
        let deletions = AtomicUsize::new(0);
        let table = Table::with(move |_, operation| {
            let first = operation == "DeleteItem" && deletions.fetch_add(1, Ordering::SeqCst) == 0;
            if first { Fault::Conflict(0) } else { Fault::None }
        }).await;
        table.store.exchange(Exchange::new(worker(), 1, LEASE, noon())).await.unwrap();
        let sweep = SweepOptions::new(noon().plus(Duration::from_hours(48))).with_dead(vec![worker()]);
        let sent = || table.faulty.requests().iter().filter(|(operation, _)| operation == "DeleteItem").count();
        for deletions in [1, 2, 2] {
            table.store.sweep(sweep.clone()).await.unwrap();
            assert_eq!(sent(), deletions);
        }
    }

    #[tokio::test]
    async fn a_list_of_jobs_that_are_gone_is_deleted() {
        let mut table = Table::new().await;
        let id = table.enqueue(1).await[0];
        table.trade(1, Vec::new()).await;
        let item = table.item(id).await;
        let delete = table.client.delete_item().table_name(&table.name).key("pk", item["pk"].clone());
        delete.key("sk", item["sk"].clone()).send().await.unwrap();
        let sweep = SweepOptions::new(noon()).with_dead(vec![worker()]);
        assert_eq!(table.store.sweep(sweep).await.unwrap().expired, 0);
        assert_eq!(table.lists().await, 0);
    }

    #[tokio::test]
    async fn a_worker_that_is_forgotten_while_a_job_of_it_arrives_is_known_again() {
        let table = Table::with(held("TransactWriteItems", 0)).await;
        let other = table.another().await;
        // The worker called once, long ago.
        let call = Exchange::new(worker(), 1, LEASE, noon());
        other.exchange(call).await.unwrap();
        let (store, job) = (table.store.clone(), arrival().await);
        let arriving = tokio::spawn(async move { store.enqueue(vec![job], noon()).await });
        table.faulty.held().await;
        let later = noon().plus(Duration::from_hours(48));
        let sweep = SweepOptions::new(later).with_dead(vec![worker()]);
        other.sweep(sweep.clone()).await.unwrap();
        table.faulty.let_go();
        arriving.await.unwrap().unwrap();
        assert_eq!(other.sweep(sweep).await.unwrap().expired, 1);
    }

    #[tokio::test]
    async fn claims_of_one_process_at_one_time_take_different_jobs() {
        let mut table = Table::with(held("TransactWriteItems", 1)).await;
        let mut ids = table.enqueue(6).await;
        ids.sort_unstable();
        let (first, store) = (table.exchange(3, Vec::new()), table.store.clone());
        let first = tokio::spawn(async move { store.exchange(first).await });
        table.faulty.held().await;
        let claim = Claim { queues: vec![queue()], kinds: vec![kind()], limit: 3 };
        let second = Exchange::new(WorkerId::new("two").unwrap(), 1, LEASE, noon()).with_claim(claim);
        let second = table.store.exchange(second).await.unwrap();
        table.faulty.let_go();
        let first = first.await.unwrap().unwrap();
        let taken = |exchanged: Exchanged| exchanged.claimed.iter().map(|job| job.id).collect::<Vec<_>>();
        assert_eq!((taken(first), taken(second)), (ids[..3].to_vec(), ids[3..].to_vec()));
    }

    #[tokio::test]
    async fn a_claim_that_hangs_keeps_its_jobs_from_no_other_claim_for_long() {
        let mut table = Table::with(held("TransactWriteItems", 1)).await;
        let mut ids = table.enqueue(6).await;
        ids.sort_unstable();
        let (first, store) = (table.exchange(3, Vec::new()), table.store.clone());
        let first = tokio::spawn(async move { store.exchange(first).await });
        table.faulty.held().await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::time::resume();
        let claim = Claim { queues: vec![queue()], kinds: vec![kind()], limit: 3 };
        let second = Exchange::new(WorkerId::new("two").unwrap(), 1, LEASE, noon()).with_claim(claim);
        let second = table.store.exchange(second).await.unwrap();
        table.faulty.let_go();
        let first = first.await.unwrap().unwrap();
        let taken = |exchanged: Exchanged| exchanged.claimed.iter().map(|job| job.id).collect::<Vec<_>>();
        assert_eq!((taken(first), taken(second)), (ids[3..].to_vec(), ids[..3].to_vec()));
    }

    #[tokio::test]
    async fn an_acknowledgement_is_answered_from_the_table_and_not_from_its_claim() {
        let mut table = Table::new().await;
        table.enqueue(1).await;
        let claimed = table.trade(1, Vec::new()).await.claimed.remove(0);
        let sweep = SweepOptions::new(noon()).with_dead(vec![worker()]);
        assert_eq!(table.another().await.sweep(sweep).await.unwrap().expired, 1);
        // As long as the lease was held, this would be refused for its size.
        let action = AckAction::Complete { result: "x".repeat(500_000).into() };
        let ack = Ack { job: claimed.id, epoch: claimed.epoch, action };
        let outcome = table.trade(0, vec![ack]).await.acks.remove(0);
        assert_eq!(outcome, AckOutcome::Lost { epoch: 1, status: JobStatus::Pending });
    }

    #[tokio::test]
    async fn a_claim_that_arrives_after_a_newer_exchange_takes_nothing_and_writes_no_list() {
        let mut table = Table::with(held("TransactWriteItems", 1)).await;
        let id = table.enqueue(1).await[0];
        let late = table.exchange(1, Vec::new());
        let store = table.store.clone();
        let late = tokio::spawn(async move { store.exchange(late).await });
        table.faulty.held().await;
        let newer = table.exchange(0, Vec::new()).with_reconcile(true);
        assert_eq!(table.another().await.exchange(newer).await.unwrap().reconciled, 0);
        table.faulty.let_go();
        assert_eq!(late.await.unwrap().unwrap_err().kind(), Kind::Conflict);
        assert_eq!(table.lists().await, 0);
        assert_eq!(table.store.get_one(id.into()).await.unwrap().unwrap().status, JobStatus::Pending);
    }
}

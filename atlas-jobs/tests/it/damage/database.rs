//! Damaged rows of a database.

use super::*;
use atlas_jobs::state::OutboxTopic;
use atlas_schema::TenantId;
use deadpool_postgres::Client;

struct DatabaseHand {
    client: Client,
    part: Part,
}

impl DatabaseHand {
    async fn run(&self, sql: &str, job: JobId) {
        assert_eq!(self.client.execute(sql, &[&job.as_uuid()]).await.unwrap(), 1);
    }
}

impl Hand for DatabaseHand {
    async fn damage(&self, job: JobId) {
        let set = if self.part == Part::Record { "more = '{'" } else { "payload = '{' || payload" };
        self.run(&format!("UPDATE atlas_jobs_job SET {set} WHERE id = $1"), job).await;
    }

    async fn mend(&self, job: JobId) {
        let set = if self.part == Part::Record { "more = NULL" } else { "payload = substr(payload, 2)" };
        self.run(&format!("UPDATE atlas_jobs_job SET {set} WHERE id = $1"), job).await;
    }

    async fn damage_all_but(&self, job: JobId) {
        let set = if self.part == Part::Record { "more = '{'" } else { "payload = '{' || payload" };
        let sql = format!("UPDATE atlas_jobs_job SET {set} WHERE id <> $1");
        self.client.execute(&sql, &[&job.as_uuid()]).await.unwrap();
    }

    async fn mend_all_but(&self, job: JobId) {
        let set = if self.part == Part::Record { "more = NULL" } else { "payload = substr(payload, 2)" };
        let sql = format!("UPDATE atlas_jobs_job SET {set} WHERE id <> $1");
        self.client.execute(&sql, &[&job.as_uuid()]).await.unwrap();
    }

    async fn make_late(&self) {
        for table in ["ready", "deferred", "lease"] {
            self.client.execute(&format!("UPDATE atlas_jobs_{table} SET deadline = 1000000000000"), &[]).await.unwrap();
        }
    }

    async fn garble(&self, job: JobId) {
        self.run("UPDATE atlas_jobs_outbox SET fields = '{', visible_at = 0 WHERE job = $1", job).await;
    }

    async fn hurry(&self) {
        self.client.execute("UPDATE atlas_jobs_deferred SET run_at = atlas_jobs_now() - 1", &[]).await.unwrap();
    }
}

async fn fresh(part: Part) -> (Arc<dyn JobStore>, DatabaseHand) {
    let pool = crate::postgres::pool().await;
    let store = atlas_jobs::PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
    (Arc::new(store), DatabaseHand { client: pool.get().await.unwrap(), part })
}

testkit::with_postgres! {
    #[tokio::test]
    async fn a_row_of_a_database_that_can_not_be_read_stops_no_work_on_the_others() {
        let (store, hand) = fresh(Part::Record).await;
        others_go_on(store, &hand).await;
    }

    #[tokio::test]
    async fn a_limited_queue_of_a_database_goes_on_behind_rows_that_can_not_be_read() {
        for part in [Part::Record, Part::Payload] {
            let (store, hand) = fresh(part).await;
            a_limited_queue_goes_on(store, &hand).await;
        }
    }

    #[tokio::test]
    async fn leases_of_rows_that_can_not_be_read_any_more_go_back_by_reconciling_and_by_sweeps() {
        let (store, hand) = fresh(Part::Record).await;
        let mut bench = Bench::new(Arc::clone(&store));
        let job = bench.add(spec()).await;
        // What was never begun is forgiven, what a silent worker began is not.
        for (epoch, attempt) in [(1, 1), (2, 1), (3, 2)] {
            let claimed = bench.claim().await;
            assert_eq!((claimed.id, claimed.epoch, claimed.attempt), (job, epoch, attempt));
            if epoch == 3 {
                bench.complete(&claimed).await;
                break;
            }
            hand.damage(job).await;
            let back = if epoch == 1 {
                let beat = bench.beat().with_reconcile(true);
                store.exchange(beat).await.unwrap().reconciled
            } else {
                store.sweep(SweepOptions::new(now()).with_dead(vec![WorkerId::new("w").unwrap()])).await.unwrap().expired
            };
            assert_eq!((back, bench.in_status(JobStatus::Processing).await), (1, 0), "epoch {epoch}");
            hand.mend(job).await;
            hand.hurry().await;
        }
        bench.has_a_whole_trail(job).await;
    }

    #[tokio::test]
    async fn an_ended_row_that_could_not_be_read_is_purged_once_it_is_mended() {
        let (store, hand) = fresh(Part::Record).await;
        let mut bench = Bench::new(Arc::clone(&store));
        let job = bench.add(spec()).await;
        let claimed = bench.claim().await;
        bench.complete(&claimed).await;
        hand.damage(job).await;
        let before = now().wall.saturating_add(Duration::from_hours(1));
        let options = PurgeOptions::new(Purge::Ended { status: JobStatus::Completed, before });
        let began = tokio::time::Instant::now();
        // The list that names it is made in one millisecond at the earliest and looked at in another.
        for _ in 0..2 {
            let purged = store.purge(options.clone()).await.unwrap();
            assert_eq!((purged.jobs, purged.more), (0, false));
        }
        hand.mend(job).await;
        while store.purge(options.clone()).await.unwrap().jobs == 0 {
            assert!(began.elapsed() < PATIENCE, "it is found again");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(store.get_one(job.into()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_result_of_a_row_that_can_not_be_read_is_recorded_or_said_not_to_be() {
        let (store, hand) = fresh(Part::Record).await;
        let mut bench = Bench::new(Arc::clone(&store));
        let job = bench.add(spec()).await;
        let claimed = bench.claim().await;
        hand.damage(job).await;
        bench.complete(&claimed).await;
        let again = bench.exchange(vec![ack(&claimed, done())], 0).await.acks;
        assert_eq!(again, [AckOutcome::Unreadable]);
        hand.mend(job).await;
        assert_eq!(bench.exchange(vec![ack(&claimed, done())], 0).await.acks, [AckOutcome::Repeated]);
        assert_eq!(store.get_one(job.into()).await.unwrap().unwrap().result, Some(1.into()));
    }

    #[tokio::test]
    async fn rows_of_a_database_that_can_not_be_read_hide_nothing_from_sweeps_and_purges() {
        let (store, hand) = fresh(Part::Record).await;
        nothing_is_hidden_behind_a_page(store, &hand).await;
    }

    #[tokio::test]
    async fn a_row_of_a_database_that_can_not_be_read_can_be_deleted() {
        let (store, hand) = fresh(Part::Record).await;
        what_can_not_be_read_can_be_deleted(store, &hand).await;
    }

    #[tokio::test]
    async fn a_sweep_over_a_row_that_can_not_be_read_forgives_no_attempt_and_forgets_no_cancel() {
        let (store, hand) = fresh(Part::Record).await;
        let mut bench = Bench::new(Arc::clone(&store));
        let twice = bench.add(spec().with_max_attempts(2)).await;
        let stopped = bench.add(spec()).await;
        assert_eq!(bench.exchange(Vec::new(), 2).await.claimed.len(), 2);
        bench.jobs.cancel(stopped, "no", Duration::from_hours(1)).await.unwrap();
        hand.damage(twice).await;
        hand.damage(stopped).await;
        let dead = || SweepOptions::new(now()).with_dead(vec![WorkerId::new("w").unwrap()]);
        assert_eq!(store.sweep(dead()).await.unwrap().expired, 1);
        hand.mend(twice).await;
        hand.hurry().await;
        let again = bench.claim().await;
        assert_eq!((again.id, again.attempt, again.epoch), (twice, 2, 2), "the first attempt counts");
        hand.damage(twice).await;
        assert_eq!(store.sweep(dead()).await.unwrap().expired, 0, "only an end is left to both");
        for id in [twice, stopped] {
            hand.mend(id).await;
        }
        assert_eq!(store.sweep(dead()).await.unwrap().expired, 2);
        for (id, status) in [(twice, JobStatus::Failed), (stopped, JobStatus::Cancelled)] {
            assert_eq!(store.get_one(id.into()).await.unwrap().unwrap().status, status);
            bench.has_a_whole_trail(id).await;
        }
    }

    #[tokio::test]
    async fn a_row_whose_follow_up_can_not_be_read_keeps_no_result_of_an_exchange_from_being_recorded() {
        let (store, hand) = fresh(Part::Record).await;
        let mut bench = Bench::new(Arc::clone(&store));
        let told = || spec().with_callback(Callback { url: "https://example.org/".into() });
        let mut jobs = Vec::new();
        for _ in 0..3 {
            jobs.push(bench.add(told()).await);
        }
        jobs.push(bench.add(spec()).await);
        let claimed = bench.exchange(Vec::new(), 4).await.claimed;
        hand.run("UPDATE atlas_jobs_job SET follow = '{' WHERE id = $1", jobs[0]).await;
        hand.run("UPDATE atlas_jobs_job SET follow = '[]' WHERE id = $1", jobs[1]).await;
        let acks = claimed.iter().map(|job| ack(job, done())).collect();
        let outcomes = bench.exchange(acks, 0).await.acks;
        let recorded = |outcome: &AckOutcome| matches!(outcome, AckOutcome::Applied { status: JobStatus::Completed, .. });
        assert!(outcomes.iter().all(recorded), "{outcomes:?}");
        let exchange = OutboxExchange::new(vec!["callback"], 9, Duration::from_mins(1), now());
        let posted = store.outbox(exchange).await.unwrap();
        let posted: BTreeSet<JobId> = posted.into_iter().map(|item| item.entry.event.job).collect();
        assert_eq!(posted, jobs[..3].iter().copied().collect(), "the record says who is to be told");
    }

    #[tokio::test]
    async fn a_cancel_that_can_not_be_read_stops_no_exchange() {
        let (store, hand) = fresh(Part::Record).await;
        let mut bench = Bench::new(Arc::clone(&store));
        let [one, other] = [bench.add(spec()).await, bench.add(spec()).await];
        let claimed = bench.exchange(Vec::new(), 2).await.claimed;
        for id in [one, other] {
            bench.jobs.cancel(id, "no", Duration::from_hours(1)).await.unwrap();
        }
        hand.run("UPDATE atlas_jobs_lease SET cancel = '{' WHERE id = $1", one).await;
        for reconcile in [false, true] {
            let held: Vec<_> = claimed.iter().map(|job| Held { job: job.id, epoch: job.epoch, progress: None }).collect();
            let outcomes = store.exchange(bench.beat().with_held(held).with_reconcile(reconcile)).await.unwrap().held;
            for (job, outcome) in claimed.iter().zip(outcomes) {
                assert_eq!(outcome == HeldOutcome::Continue, job.id == one, "{outcome:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_function_for_other_drivers_refuses_what_enqueue_refuses_and_writes_what_it_writes() {
        let (store, hand) = fresh(Part::Record).await;
        for kind in ["batch", "schedule", "schedule.tick"] {
            let refused = hand.client.query(&format!("SELECT * FROM atlas_jobs_enqueue('{kind}', '1')"), &[]).await;
            let code = refused.unwrap_err().code().cloned();
            assert_eq!(code, Some(tokio_postgres::error::SqlState::INVALID_PARAMETER_VALUE), "{kind}");
        }
        for url in ["http://", "gopher://x", "https://\u{e9}"] {
            let call = format!("SELECT * FROM atlas_jobs_enqueue('k', '1', callback => '{url}')");
            let refused = hand.client.query(&call, &[]).await;
            assert!(refused.is_err() && !Callback { url: url.into() }.is_valid(), "{url}");
        }
        let mut bench = Bench::new(Arc::clone(&store));
        let tenant = TenantId::new("acme").unwrap();
        let callback = Callback { url: "https://example.org/".into() };
        let call = "SELECT job::text FROM atlas_jobs_enqueue('k', '1', tenant => 'acme', callback => 'https://example.org/')";
        hand.client.query_one(call, &[]).await.unwrap();
        bench.add(spec().with_tenant(tenant.clone()).with_callback(callback.clone())).await;
        for row in hand.client.query("SELECT follow, more FROM atlas_jobs_job", &[]).await.unwrap() {
            let [follow, more] = [0, 1].map(|at| serde_json::from_str::<serde_json::Value>(row.get(at)).unwrap());
            assert_eq!(follow, serde_json::json!({ "callback": { "url": callback.url, "tenant": "acme" } }));
            assert_eq!(more, serde_json::json!({ "callback": { "url": callback.url } }));
        }
        let claimed = bench.exchange(Vec::new(), 2).await.claimed;
        let plain = |job: &JobRecord| {
            let mut job = job.clone();
            (job.id, job.correlation_id) = (claimed[0].id, claimed[0].correlation_id.clone());
            (job.created_at, job.run_at, job.updated_at) = (claimed[0].created_at, claimed[0].run_at, claimed[0].updated_at);
            job
        };
        assert_eq!(plain(&claimed[0]), plain(&claimed[1]));
        for job in &claimed {
            bench.complete(job).await;
        }
        let exchange = OutboxExchange::new(vec!["callback"], 9, Duration::from_mins(1), now());
        for item in store.outbox(exchange).await.unwrap() {
            let wanted = OutboxTopic::Callback { url: callback.url.clone(), tenant: Some(tenant.clone()) };
            assert_eq!(item.entry.topic, wanted);
        }
    }

    #[tokio::test]
    async fn a_damaged_job_that_holds_a_key_stops_no_call_of_the_function() {
        let (store, hand) = fresh(Part::Record).await;
        let bench = Bench::new(store);
        for (key, damage) in [("a", "more = '{'"), ("b", "payload = '{'"), ("c", "grp = 9999")] {
            let job = bench.add(spec().with_idempotency_key(IdempotencyKey::new(key).unwrap())).await;
            hand.run(&format!("UPDATE atlas_jobs_job SET {damage} WHERE id = $1"), job).await;
            let call = format!("SELECT outcome, differs FROM atlas_jobs_enqueue('k', '1', idempotency_key => '{key}')");
            let answer = tokio::time::timeout(PATIENCE, hand.client.query_one(&call, &[])).await.unwrap().unwrap();
            assert_eq!([answer.get::<_, &str>(0), answer.get(1)], ["conflict", UNREADABLE], "{damage}");
        }
    }
}

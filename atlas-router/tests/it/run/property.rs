//! Whatever a provider, a ledger and a caller do, what the provider may bill is counted, and never more than the budget.

use super::ledgers::{Fate, Fated, Op};
use super::*;
use crate::{Rng, rounds, with};
use atlas_router::call::{Answer, Billed, Fault, Hedge, Limits, classify};
use atlas_router::client::{Call, ClientError, Reply};
use atlas_router::ledger::HoldState;
use std::sync::Mutex;
use std::time::Duration;

/// A provider with a bill of its own: what each call may cost it the caller, whether or not the caller learns of it.
#[derive(Debug)]
struct Biller {
    rng: Mutex<u64>,
    bill: Mutex<Vec<(String, Usd)>>,
}

impl Biller {
    fn random(&self, below: u64) -> u64 {
        let mut seed = self.rng.lock().unwrap();
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % below
    }

    /// Puts a cost on the bill of that call.
    fn bill(&self, call: &Call, output: u64) {
        let cost = Usd::from_nanos(8 + 10 * i64::try_from(output).unwrap());
        self.bill.lock().unwrap().push((call.idempotency_key.clone().unwrap(), cost));
    }
}

#[async_trait::async_trait]
impl LlmClient for Biller {
    async fn complete(&self, call: &Call) -> Result<Reply, ClientError> {
        let output = self.random(101);
        let usage = TokenUsage { input: 8, output, ..TokenUsage::default() };
        let answers = self.random(100) < 40;
        let fault = match self.random(8) {
            0 => Fault::Connect,
            1 => Fault::Broken,
            2 => Fault::Garbled,
            3 => Fault::Answered(Answer::new(504)),
            4 => Fault::Answered(Answer::new(429)),
            5 => Fault::Answered(Answer::new(429).with_code("insufficient_quota")),
            6 => Fault::Answered(Answer::new(500)),
            _ => Fault::Timeout,
        };
        // The work is done and billed before the answer arrives.
        if answers || classify(&fault).billed == Billed::Unknown {
            self.bill(call, output);
        }
        tokio::time::sleep(Duration::from_millis(self.random(3000))).await;
        if answers {
            return Ok(Reply::new("hello", (self.random(5) > 0).then_some(usage)));
        }
        let told = classify(&fault).billed == Billed::Unknown && self.random(3) == 0;
        let wait = (self.random(3) == 0).then(|| Duration::from_millis(self.random(5000)));
        Err(ClientError::new(fault).with_usage(told.then_some(usage)).with_retry_after(wait))
    }
}

fn fates(rng: &mut Rng) -> Vec<(Op, Fate)> {
    (0..rng.below(12))
        .map(|_| {
            let op = *rng.pick(&[Op::Reserve, Op::Send, Op::Settle, Op::Settle, Op::Release]);
            let slow = Fate::Slow(Duration::from_millis(rng.below(4000)));
            (op, *rng.pick(&[Fate::Done, Fate::Lost, Fate::Late, slow, Fate::Never]))
        })
        .collect()
}

#[test]
fn what_a_provider_may_bill_is_counted_once_and_never_passes_the_budget() {
    let mut rng = Rng::new(25);
    for case in 0..rounds(300, 100) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let ledger = Fated::new(fates(&mut rng));
        let limit = Usd::from_nanos(i64::try_from(1000 + rng.below(20_000)).unwrap());
        let biller = Arc::new(Biller { rng: Mutex::new(rng.next()), bill: Mutex::default() });
        let after = Duration::from_millis(rng.below(3000));
        let hedge = [None, Some(Hedge::new(after)), Some(Hedge::same(after))][usize::try_from(case % 3).unwrap()];
        let plan: Vec<_> = (0..=rng.below(8)).map(|_| (rng.below(4), rng.below(8000))).collect();
        runtime.block_on(async {
            ledger.limit(vec![(tenant(), Some(limit))]).await.unwrap();
            let router = builder(Arc::new(ledger.clone()))
                .with_client("a", biller.clone())
                .with_client("b", biller.clone())
                .with_seed(case)
                .with_limits(with(Limits::default(), |limits| limits.hedge = hedge))
                .build()
                .unwrap();
            let mut tasks = Vec::new();
            for (how, after) in plan {
                let router = router.clone();
                tasks.push(tokio::spawn(async move {
                    let (cancel, after) = (CancellationToken::new(), Duration::from_millis(after));
                    let request = request();
                    let run = router.run(&request, &cancel);
                    match how {
                        // The caller walks away.
                        0 => drop(tokio::time::timeout(after, run).await),
                        1 => {
                            let (ended, ()) = tokio::join!(run, async {
                                tokio::time::sleep(after).await;
                                cancel.cancel();
                            });
                            drop(ended);
                        }
                        _ => drop(run.await),
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            tokio::time::sleep(Duration::from_mins(10)).await;
            let balance = ledger.balance(&tenant(), Month::of(now())).await.unwrap();
            assert!(balance.used() <= limit, "case {case}: {balance:?} of {limit}");
            let mut billed = Usd::ZERO;
            let bill = std::mem::take(&mut *biller.bill.lock().unwrap());
            for (key, cost) in bill {
                billed = billed.saturating_add(cost);
                let id = u128::from_str_radix(&key, 16).unwrap().to_be_bytes();
                let hold = ledger.hold(atlas_router::ledger::HoldId::from_bytes(id)).await.unwrap();
                let hold = hold.unwrap_or_else(|| panic!("case {case}: a call left without a hold"));
                let counted = match hold.state {
                    HoldState::Settled => hold.cost,
                    HoldState::Sent => hold.amount,
                    state => panic!("case {case}: a billed call whose hold is {state:?}"),
                };
                assert!(counted >= cost, "case {case}: {cost} is billed and {counted} counted");
            }
            assert!(balance.used() >= billed, "case {case}");
            // A hold that never left is given back, unless the ledger failed to take it: then it expires.
            while ledger.sweep(now().saturating_add(Duration::from_hours(1)), 1000).await.unwrap() > 0 {}
            let open = ledger.unreconciled(now().saturating_add(Duration::from_hours(1)), 1000).await.unwrap();
            let held: Usd = open.iter().map(|hold| hold.amount).sum();
            let balance = ledger.balance(&tenant(), Month::of(now())).await.unwrap();
            assert_eq!(balance.held, held, "case {case}");
        });
    }
}

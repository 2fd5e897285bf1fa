//! One golden outcome per fixture. `ATLAS_BLESS=1` writes them anew; read the difference before you commit it.

use super::{fixture, fixtures, folder};
use atlas_schema::migrate::{Migration, Secrets, migrate};
use serde_json::{Value, json};

fn report(outcome: &Migration) -> Value {
    match outcome {
        Migration::Migrated(done) => {
            let mut notes = done.notes.clone();
            notes.sort_by(|a, b| (a.pointer.as_str(), a.code).cmp(&(b.pointer.as_str(), b.code)));
            let notes: Vec<String> = notes.iter().map(|note| text(&note.code) + " " + note.pointer.as_str()).collect();
            json!({
                "shape": done.shape,
                "fromVersion": done.from_version,
                "job": done.job,
                "side": done.side.as_ref().map(|side| &side.entries),
                "removedSecrets": done.removed_secrets,
                "notes": notes,
            })
        }
        Migration::Quarantined(held) => json!({
            "quarantined": held.reason,
            "secrets": match &held.secrets {
                Secrets::NoneFound => json!("none found"),
                Secrets::Removed(at) => json!(at),
                Secrets::Unchecked => json!("unchecked"),
            },
        }),
    }
}

fn text(code: &impl serde::Serialize) -> String {
    serde_json::to_value(code).unwrap().as_str().unwrap().to_owned()
}

fn check(name: &str) {
    let got = report(&migrate(&fixture(name)));
    let path = folder().join(format!("{name}.expected.json"));
    if std::env::var_os("ATLAS_BLESS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&got).unwrap() + "\n").unwrap();
    }
    let expected: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(got, expected, "{name}");
}

macro_rules! golden {
    ($($test:ident = $($name:literal)+;)*) => {
        $(#[test] fn $test() { $(check($name);)+ })*

        #[test]
        fn every_fixture_has_a_test() {
            let tested = [$($($name,)+)*];
            let there: Vec<String> = fixtures().into_iter().map(|(name, _)| name).collect();
            assert!(there.iter().all(|name| tested.contains(&name.as_str())), "{there:?}");
            assert_eq!(there.len(), tested.len());
        }
    };
}

golden! {
    l01_accepted_by_the_function = "L01-accepted";
    l02_finished_inline_has_its_creation_time_back = "L02-finished";
    l03_failed_inline_says_why = "L03-failed";
    l04_plan_era_nulls_vanish = "L04-plan" "L04-plan-null-data" "L04-plan-failed";
    l05_queued_early_keeps_its_times = "L05-queued-early";
    l06_queued = "L06-queued";
    l07_words_name_the_page_or_are_quarantined = "L07-queued-ai" "L07-full-address" "L07-no-address";
    l08_made_by_the_ai = "L08-ai-created" "L08-ai-created-without-instructions";
    l09_updated_by_a_worker = "L09-worker-completed" "L09-worker-failed" "L09-worker-ai";
    l10_part_of_another_job = "L10-part";
    l11_native_maps = "L11-native-maps";
    l12_bare = "L12-bare" "L12-bare-job-id";
    l13_timeouts_are_timeouts = "L13-timed-out" "L13-truncated";
    l14_partial_and_cut_results = "L14-partial" "L14-partial-with-result" "L14-cut";
    l15_redis_server = "L15-redis" "L15-redis-completed" "L15-redis-failed";
    l16_supabase_server = "L16-supabase" "L16-supabase-created";
    l17_core_library = "L17-core" "L17-core-without-url";
    l18_old_format = "L18-old-format" "L18-limits";
    r01_single_page = "R01-single-page";
    r02_navigation = "R02-navigation";
    r03_plan = "R03-plan";
    r04_gpt5_cost = "R04-gpt5";
    r05_worker_page = "R05-worker-page";
    r06_crawl = "R06-crawl";
    r07_search = "R07-search";
    r08_map = "R08-map";
    r09_error = "R09-error";
    r10_articles_and_bare_lists = "R10-articles" "R10-products";
    queue_messages = "M1-message" "M1-message-html" "M2-message-ai";
    secrets_go_and_are_reported = "S1-secrets" "S2-secrets-quarantined";
    dynamodb_items = "D1-item" "D2-item-maps";
    canonical_and_the_predecessors_own = "C1-canonical" "C2-original-manager";
    ambiguous_and_future = "A1-two-versions" "A2-two-ids" "F1-future";
}

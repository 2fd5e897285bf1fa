//! The catalogue: rows that agree, faults that are all told, ends of life.

use crate::{Rng, built_in, day, rounds};
use atlas_router::catalogue::{Catalogue, Day};
use atlas_schema::Timestamp;
use std::fmt::Write as _;

fn faults(text: &str) -> Vec<String> {
    Catalogue::read(text).unwrap_err().faults.into_iter().map(|fault| fault.place).collect()
}

/// A row with `more` in it.
fn row(more: &str) -> String {
    format!(
        "sources = {{ here = \"https://example.org/prices\" }}\n[[model]]\nid = \"m\"\nprovider = \"p\"\nfamily = \"f\"\n\
         max_input = 1000\nmax_output = 100\n{more}"
    )
}

const PRICE: &str = "price = { input = \"1\", output = \"2\", source = \"here\", day = \"2026-11-21\" }\n";

#[test]
fn the_built_in_catalogue_reads_and_every_price_has_its_source_and_day() {
    let catalogue = built_in();
    assert!(catalogue.models().count() >= 20);
    for model in catalogue.models() {
        assert!(model.source.url.starts_with("https://"), "{}", model.id);
        assert!(model.source.day >= day("2026-11-21"), "{}", model.id);
        assert!(model.shutdown.is_none() || model.successor.is_some(), "{} ends without a successor", model.id);
    }
}

#[test]
fn every_tier_has_a_living_model_for_a_year_from_now() {
    let catalogue = built_in();
    for tier in catalogue.tiers() {
        let lives = |on: &str| catalogue.tier(tier.as_str()).unwrap().any(|model| model.lives_on(day(on)));
        assert!(
            ["2026-11-26", "2026-12-11", "2027-01-14", "2027-04-01", "2027-11-26"].iter().all(|on| lives(on)),
            "{tier}"
        );
    }
}

#[test]
fn a_price_file_with_a_hole_is_refused_and_names_the_hole() {
    assert_eq!(faults(&row("")), ["model m, price"]);
    let hole = "price = { input = \"1\", source = \"here\", day = \"2026-11-21\" }\n";
    assert_eq!(faults(&row(hole)), ["model m, price.output"]);
    let unsourced = "price = { input = \"1\", output = \"2\" }\n";
    assert_eq!(faults(&row(unsourced)), ["model m, price.source", "model m, price.day"]);
    let foreign = "price = { input = \"1\", output = \"2\", source = \"there\", day = \"2026-11-21\" }\n";
    assert_eq!(faults(&row(foreign)), ["model m, price.source"]);
}

#[test]
fn prices_that_are_nan_negative_infinite_or_floats_are_refused() {
    for price in [
        "nan",
        "-1.0",
        "inf",
        "1.25",
        "1",
        "\"NaN\"",
        "\"-1\"",
        "\"1e3\"",
        "\"\"",
        "\"1.\"",
        "\".5\"",
        "\"0.1234567\"",
        "\"100000.000001\"",
        "\"99999999999\"",
        "\"１\"",
        "true",
        "[]",
    ] {
        let text =
            row(&format!("price = {{ input = {price}, output = \"2\", source = \"here\", day = \"2026-11-21\" }}\n"));
        assert_eq!(faults(&text), ["model m, price.input"], "{price}");
    }
    for factor in ["0", "\"0\"", "\"-1\"", "\"100.001\"", "1.5", "nan"] {
        assert_eq!(faults(&row(&format!("{PRICE}regional = {factor}\n"))), ["model m, regional"], "{factor}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let text = "[[model]]\nid = \"A B\"\n[[model]]\nid = \"m\"\nencoding = \"utf-9\"\nmax_input = 0\nmax_output = -1\n\
        efforts = [\"high\", \"low\"]\nshutdown = \"2026-02-30\"\n";
    assert_eq!(
        faults(text),
        [
            "model number 1, id",
            "model m, provider",
            "model m, family",
            "model m, encoding",
            "model m, max_input",
            "model m, max_output",
            "model m, efforts",
            "model m, default_effort",
            "model m, price",
            "model m, shutdown"
        ]
    );
}

#[test]
fn names_that_nothing_bears_are_refused() {
    let all = format!("{}[tiers]\nt = [\"x\"]\nm = [\"m\"]\nempty = []\n[fallbacks]\nt = [\"u\"]\n", row(PRICE));
    assert_eq!(faults(&all), ["tiers.empty", "tiers.m", "tiers.t, x", "fallbacks.t, u"]);
    assert_eq!(faults(&row(&format!("{PRICE}successor = \"n\"\n"))), ["model m, successor"]);
    assert_eq!(faults("unknown = 1"), ["line 1"]);
    assert_eq!(faults("version = \"1\"\n[[model]\n"), ["line 2"]);
}

#[test]
fn a_margin_that_would_count_too_few_tokens_is_refused() {
    assert_eq!(faults(&row(&format!("{PRICE}encoding_margin = \"0.9\"\n"))), ["model m, encoding_margin"]);
}

#[test]
fn what_stands_around_words_is_told_for_prompts_and_messages_or_not_at_all() {
    let around = |text: &str| Catalogue::read(&row(&format!("{PRICE}{text}"))).unwrap().model("m").unwrap().around;
    assert_eq!((around("").prompt, around("").message), (3, 3));
    let told = around("around = { prompt = 4, message = 5 }\n");
    assert_eq!((told.prompt, told.message), (4, 5));
    for (text, places) in [
        ("{ prompt = 4 }", &["model m, around.message"][..]),
        ("{ prompt = 0, message = -1 }", &["model m, around.prompt", "model m, around.message"]),
        ("{ prompt = \"4\", message = 5.0 }", &["model m, around.prompt", "model m, around.message"]),
    ] {
        assert_eq!(faults(&row(&format!("{PRICE}around = {text}\n"))), places, "{text}");
    }
}

#[test]
fn an_overlay_replaces_rows_and_changes_the_version() {
    let below = built_in();
    let text = format!("remove = [\"gpt-4\"]\n{}[tiers]\nnano = [\"m\"]\n", row(PRICE));
    let above = below.with_overlay(&text).unwrap();
    assert_eq!(above.tier("nano").unwrap().next().unwrap().id.as_str(), "m");
    assert!(above.model("gpt-4").is_none() && below.model("gpt-4").is_some());
    assert_ne!(above.version(), below.version());
    assert_eq!(below.with_overlay("").unwrap().version(), below.version());
    assert_eq!(built_in().version(), below.version());
    let error = below.with_overlay("remove = [\"no-such\", \"gpt-6-luna\"]").unwrap_err();
    assert_eq!(error.faults[0].place, "remove, no-such");
}

#[test]
fn successors_lead_to_the_nearest_that_lives() {
    let catalogue = built_in();
    let turbo = catalogue.model("gpt-4-turbo").unwrap();
    assert_eq!(catalogue.successor(turbo, day("2026-11-26")).unwrap().id.as_str(), "gpt-4.1");
    assert_eq!(catalogue.successor(turbo, day("2027-01-14")).unwrap().id.as_str(), "gpt-6-luna");
    let circle = format!(
        "{}successor = \"n\"\nshutdown = \"2026-01-01\"\n{}",
        row(PRICE),
        row(PRICE).replace("\"m\"", "\"n\"").replace("sources = { here = \"https://example.org/prices\" }\n", "")
            + "successor = \"m\"\nshutdown = \"2026-01-01\"\n"
    );
    let circle = Catalogue::read(&circle).unwrap();
    assert!(circle.successor(circle.model("m").unwrap(), day("2026-11-26")).is_none());
}

#[test]
fn days_have_one_spelling_and_follow_the_calendar_in_utc() {
    for text in
        ["2026-2-30", "2026-02-30", "2026-1-1", "20260101", "2026-01-01T00:00:00", "", "+002026-01-01", " 2026-01-01"]
    {
        assert!(text.parse::<Day>().is_err(), "{text}");
    }
    let last = Timestamp::from_millis(1_796_947_199_999).unwrap();
    assert_eq!(Day::of(last), day("2026-12-10"));
    assert_eq!(Day::of(last.saturating_add(std::time::Duration::from_millis(1))), day("2026-12-11"));
    assert_eq!(day("2026-12-11").days_until(day("2027-01-01")), 21);
    assert_eq!(day("2027-01-01").days_until(day("2026-12-11")), -21);
}

#[test]
fn random_graphs_of_fallbacks_with_circles_give_chains_that_end_and_hold_no_model_twice() {
    let mut rng = Rng::new(1);
    for case in 0..rounds(2000, 10) {
        let count = 1 + rng.below(12);
        let mut text = String::from("sources = { here = \"https://example.org/\" }\n[fallbacks]\n");
        for from in 0..count {
            let to: Vec<String> = (0..rng.below(5)).map(|_| format!("\"m{}\"", rng.below(count))).collect();
            writeln!(text, "m{from} = [{}]", to.join(", ")).unwrap();
        }
        for at in 0..count {
            write!(
                text,
                "[[model]]\nid = \"m{at}\"\nprovider = \"p\"\nfamily = \"f\"\nmax_input = 9\nmax_output = 9\n{PRICE}"
            )
            .unwrap();
        }
        let catalogue = Catalogue::read(&text).unwrap();
        let chain = catalogue.chain("m0");
        let mut names: Vec<&str> = chain.iter().map(|model| model.id.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), chain.len(), "case {case}: {text}");
        assert!(u64::try_from(chain.len()).unwrap() <= count);
    }
}

//! Pages made to keep a program busy: the work is bounded, and a result says where that cut it. Nothing here looks at a
//! clock; work is counted by how often the strategy asks whether it is to stop.

use crate::support::{URL, extract, json_ld, page, recipe};
use async_trait::async_trait;
use atlas_engine::evidence::Reading;
use atlas_engine::facts::{Facts, tables::tables};
use atlas_engine::shape::Shape;
use atlas_engine::strategy::direct::Direct;
use atlas_engine::strategy::{Draft, Fit, Strategy, StrategyError, Task};
use atlas_engine::{Engine, EngineError, types};
use atlas_schema::{ExtractionRequest, ExtractionResult, StrategyName};
use serde_json::json;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn says(result: &ExtractionResult, code: &str) -> bool {
    result.warnings.iter().any(|warning| warning.code == code)
}

/// `count` texts made from their numbers.
fn repeat(count: usize, text: impl Fn(usize) -> String) -> String {
    (0..count).map(text).collect()
}

/// How often the strategy asks whether it is to stop: in proportion to its steps.
fn asked(html: &str, kind: &str) -> usize {
    let (page, schema) = (page(html), types::by_name(kind).unwrap());
    let (request, shape) = (ExtractionRequest::new(URL, schema.clone()), Shape::compile(&schema).unwrap());
    let reading = Reading::new(&page);
    let asked = AtomicUsize::new(0);
    let stop = || {
        asked.fetch_add(1, Ordering::Relaxed);
        false
    };
    let draft = Direct::draft(&Task::new(&request, &shape, &reading).with_stop(&stop));
    assert!(draft.warnings.iter().all(|warning| warning.code != "work_cut_short"), "the work was cut, not saved");
    asked.load(Ordering::Relaxed)
}

#[tokio::test]
async fn what_refers_to_itself_is_entered_once() {
    let selves = vec![r##"{"@id": "#0"}"##; 100].join(",");
    for property in ["recipeInstructions", "author", "recipeIngredient", "image"] {
        for inner in ["itemListElement", "name", "url", "item"] {
            let script = format!(
                r##"{{"@type": "Recipe", "name": "Soup", "{property}": {{"@id": "#0", "{inner}": [{selves}]}}}}"##
            );
            let result = recipe(&json_ld(&script)).await;
            assert_eq!(result.data, [json!({ "title": "Soup" })], "{property}, {inner}");
            assert!(!says(&result, "work_cut_short"), "{property}, {inner}");
        }
    }
    let section = r##"{"@graph": [{"@type": "Recipe", "name": "Soup", "recipeInstructions": [{"@id": "#s"}]},
        {"@id": "#s", "@type": "HowToSection", "itemListElement": [{"@id": "#s"}, {"@id": "#s"},
            {"@type": "HowToStep", "text": "Boil the water for the soup."},
            {"@type": "HowToStep", "text": "Put the vegetables into it."}]}]}"##;
    let result = recipe(&json_ld(section)).await;
    let steps = ["Boil the water for the soup.", "Put the vegetables into it."];
    assert_eq!(result.data[0]["instructions"], json!(steps));
}

#[tokio::test]
async fn offers_that_hold_each_other_end() {
    let selves = vec![r##"{"@id": "#0"}"##; 1000].join(",");
    let script = format!(
        r##"{{"@type": "Product", "name": "Pan", "offers": {{"@id": "#0", "offers": [{selves}], "price": "3"}}}}"##
    );
    let schema = json!({ "title": "Product", "type": "object", "properties": {
        "name": { "type": "string" },
        "price": { "type": "string", "x-atlas": { "path": "offers.offers.offers.offers.price" } } } });
    let result = extract(&json_ld(&script), schema).await;
    assert_eq!((&result.data[0]["name"], &result.data[0]["price"]), (&json!("Pan"), &json!("3")));
    assert!(!says(&result, "work_cut_short"));
}

#[tokio::test]
async fn a_step_that_two_lists_share_is_read_in_both() {
    let script = r##"{"@graph": [{"@type": "Recipe", "name": "Soup", "recipeInstructions": [
            {"@type": "HowToSection", "itemListElement": [{"@id": "#stir"}, {"@type": "HowToStep", "text": "Serve the soup in bowls."}]},
            {"@type": "HowToSection", "itemListElement": [{"@id": "#stir"}]}]},
        {"@id": "#stir", "@type": "HowToStep", "text": "Stir until nothing sticks."}]}"##;
    let result = recipe(&json_ld(script)).await;
    let steps = ["Stir until nothing sticks.", "Serve the soup in bowls.", "Stir until nothing sticks."];
    assert_eq!(result.data[0]["instructions"], json!(steps));
}

#[tokio::test]
async fn lists_that_fan_out_are_cut_short_and_the_result_says_so() {
    let list = |level: usize| {
        let next = vec![format!(r##"{{"@id": "#{}"}}"##, level + 1); 12].join(",");
        format!(r##",{{"@id": "#{level}", "@type": "HowToSection", "itemListElement": [{next}]}}"##)
    };
    let script = format!(
        r##"{{"@graph": [{{"@type": "Recipe", "name": "Soup", "recipeInstructions": {{"@id": "#0"}}}}{}]}}"##,
        repeat(12, list)
    );
    let result = recipe(&json_ld(&script)).await;
    assert!(says(&result, "work_cut_short"), "{:?}", result.warnings);
}

#[test]
fn references_to_one_microdata_item_share_it() {
    let chain = |at: usize| format!("<div id=n{at} itemscope itemprop=p itemref='n{0} n{0}'></div>", at + 1);
    let html = format!(
        "<div itemscope itemtype=https://schema.org/Recipe itemref=n0><b itemprop=name>Soup</b></div>{}",
        repeat(40, chain)
    );
    let page = page(&html);
    let facts = Facts::read(&page);
    let items: Vec<_> = facts.items().filter(|(_, item)| !item.properties.is_empty()).collect();
    // One for each element but the last, which states nothing; the last reference leads nowhere. And the page's own.
    assert!(facts.items().count() <= 42, "{} items of 41 elements", facts.items().count());
    assert!(items.iter().all(|(_, item)| item.properties.iter().filter(|(name, _)| **name == *"p").count() <= 1));
    assert!(!facts.is_cut_short());
}

#[tokio::test]
async fn items_that_all_refer_to_one_large_part_are_cut_short_and_the_result_says_so() {
    let items = "<div itemscope itemtype=https://schema.org/Recipe itemref=big></div>".repeat(500);
    let html = format!("{items}<div id=big>{}</div>", "<i itemprop=name>x</i>".repeat(1000));
    let page = page(&html);
    let facts = Facts::read(&page);
    let properties: usize = facts.items().map(|(_, item)| item.properties.len()).sum();
    assert!(facts.is_cut_short() && properties < 30_000, "{properties}");
    assert!(says(&recipe(&html).await, "work_cut_short"));
}

#[tokio::test]
async fn spans_like_stairs_are_cut_short_and_the_result_says_so() {
    let row = format!("<tr>{}</tr>", "<td rowspan=65534>x".repeat(20));
    let html = format!("<table>{}</table><table><tr><th>A<th>B<tr><td>1<td>2</table>", row.repeat(200));
    let page = page(&html);
    let grids = tables(&page);
    let slots: usize = grids.iter().map(|grid| grid.width() * grid.height()).sum();
    assert!(grids[0].truncated && slots <= 4_000 + 25_000, "{slots} slots of {} bytes", html.len());
    let result = extract(&html, types::by_name("table").unwrap()).await;
    assert!(says(&result, "work_cut_short"), "{:?}", result.warnings);
    let whole = extract("<table><tr><th>A<th>B<tr><td>1<td>2</table>", types::by_name("table").unwrap()).await;
    assert!(!says(&whole, "work_cut_short"));
}

#[test]
fn namesakes_are_looked_at_once_each() {
    let stated = |count| {
        let one = |at: usize| {
            format!(r##"<script type=application/ld+json>{{"@type":"Recipe","@id":"#x","name":"R{at}"}}</script>"##)
        };
        asked(&format!("<title>R0</title>{}", repeat(count, one)), "recipe")
    };
    let (few, many) = (stated(1_000), stated(4_000));
    assert!(many <= few * 5, "{few} for 1,000 and {many} for 4,000");
    let referred = |count| {
        let one =
            |at: usize| format!(r##"{{"@id":"#{at}","@type":"Recipe","name":"R{at}","author":{{"@id":"#a"}}}},"##);
        let graph = repeat(count, one);
        asked(&json_ld(&format!(r##"{{"@graph":[{graph}{{"@id":"#a","name":"Ana"}}]}}"##)), "recipe")
    };
    let (few, many) = (referred(500), referred(2_000));
    assert!(many <= few * 5, "{few} for 500 and {many} for 2,000");
}

#[test]
fn a_label_that_stands_everywhere_is_looked_below_in_proportion_to_the_page() {
    for one in ["<h2>Ingredients</h2>", "<h2>Ingredients</h2><p>Method</p>", "<h2>Ingredients</h2><ul><li>1 cup x</ul>"]
    {
        let (few, many) = (asked(&one.repeat(100), "recipe"), asked(&one.repeat(400), "recipe"));
        assert!(many <= few * 5, "{one}: {few} for 100 and {many} for 400");
    }
}

#[tokio::test]
async fn labels_beyond_a_number_are_left_out_and_the_result_says_so() {
    let list = |at: usize| format!("<h2>Ingredients</h2><ul><li>{at} cups of flour<li>{at} eggs</ul>");
    let few = recipe(&repeat(20, list)).await;
    assert_eq!(few.data[0]["ingredients"].as_array().map(Vec::len), Some(2));
    assert!(!says(&few, "work_cut_short"));
    let many = recipe(&repeat(2_000, list)).await;
    assert_eq!(many.data[0]["ingredients"].as_array().map(Vec::len), Some(2));
    assert!(says(&many, "work_cut_short"), "{:?}", many.warnings);
}

#[test]
fn a_draft_ends_when_it_is_told_to_and_keeps_what_it_has() {
    let mut graph = String::new();
    for at in 0..3_000 {
        write!(graph, r#"{{"@type": "Recipe", "name": "R{at}", "recipeIngredient": ["1 egg", "2 figs"]}},"#).unwrap();
    }
    let page = page(&json_ld(&format!("[{graph}1]")));
    let schema = types::by_name("recipe").unwrap();
    let (request, shape) = (ExtractionRequest::new(URL, schema.clone()), Shape::compile(&schema).unwrap());
    let reading = Reading::new(&page);
    let records = |most: usize| {
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) >= most;
        let draft = Direct::draft(&Task::new(&request, &shape, &reading).with_stop(&stop));
        assert!(asked.load(Ordering::Relaxed) <= most + 1, "it went on after it was told to end");
        draft.records.len()
    };
    assert_eq!((records(0), records(1_000_000)), (0, 3_000));
    let some = records(200);
    assert!((1..3_000).contains(&some), "{some}");
}

/// Works past the time allowed, asks whether it is to stop, and gives what it has.
#[derive(Debug)]
struct Heedful;

#[async_trait]
impl Strategy for Heedful {
    fn name(&self) -> StrategyName {
        StrategyName::new("heedful").unwrap()
    }
    fn fit(&self, _: &ExtractionRequest) -> Fit {
        Fit::suits(100, "runs first")
    }
    async fn extract(&self, task: &Task<'_>) -> Result<Draft, StrategyError> {
        assert!(!task.should_stop());
        tokio::time::advance(Duration::from_millis(2_001)).await;
        assert!(task.should_stop());
        Ok(Direct::draft(&Task::new(task.request, task.shape, task.reading)))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_strategy_found_until_its_time_was_up_is_kept_and_says_so() {
    let engine = Engine::builder().strategy(Arc::new(Heedful)).build().unwrap();
    let mut request = ExtractionRequest::new(URL, types::by_name("recipe").unwrap());
    request.timeout_ms = 2_000;
    let tea = page(&json_ld(r#"{"@type": "Recipe", "name": "Tea"}"#));
    let result = engine.extract_page(&tea, &request).await.unwrap();
    assert_eq!(result.data, [json!({ "title": "Tea" })]);
    assert!(says(&result, "time_ran_out"));
    let nothing = engine.extract_page(&page("<p>nothing"), &request).await.unwrap_err();
    assert!(matches!(nothing, EngineError::Timeout));
}

//! Good calls: results, formats, resuming.

use crate::command::{Scratch, recipe};

#[test]
fn without_arguments_every_sample_page_gives_data() {
    let ran = Scratch::new().run(&["--format", "jsonl"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.pages().len() >= 12);
    assert!(ran.err.contains("cost $0"), "{}", ran.err);
    for page in ran.pages() {
        let evidence = page["result"]["evidence"].as_object().expect("evidence");
        let verified = |sightings: &serde_json::Value| sightings[0]["verified"]["source"] == true;
        assert!(!evidence.is_empty() && evidence.values().all(verified), "{page}");
    }
}

#[test]
fn the_same_call_again_reads_what_is_done() {
    let scratch = Scratch::new();
    scratch.file("a.html", recipe("Tea")).file("b.html", recipe("Mint tea"));
    let call = ["--type", "recipe", "--format", "jsonl", "a.html", "b.html"];
    let first = scratch.run(&call);
    let second = scratch.run(&call);
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{}", second.err);
    assert_eq!(first.page("a.html")["job"], second.page("a.html")["job"]);
    assert!(second.pages().iter().all(|page| page["reused"] == true), "{}", second.out);
    assert!(second.err.contains("all done already"), "{}", second.err);
}

#[test]
fn a_changed_page_is_extracted_anew() {
    let scratch = Scratch::new();
    let call = ["--type", "recipe", "--format", "jsonl", "a.html"];
    scratch.file("a.html", recipe("Tea")).run(&call);
    let second = scratch.file("a.html", recipe("Mint tea")).run(&call);
    assert_eq!(second.page("a.html")["result"]["data"][0]["title"], "Mint tea");
}

#[test]
fn fresh_extracts_again() {
    let scratch = Scratch::new();
    scratch.file("a.html", recipe("Tea")).run(&["--type", "recipe", "a.html"]);
    let again = scratch.run(&["--type", "recipe", "--fresh", "--format", "jsonl", "a.html"]);
    assert_eq!(again.page("a.html")["reused"], false);
}

#[test]
fn a_directory_gives_every_page_in_it() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("pages/inner")).expect("made");
    scratch
        .file("pages/a.html", recipe("Tea"))
        .file("pages/inner/b.HTM", recipe("Mint"))
        .file("pages/c.txt", "no page");
    let ran = scratch.run(&["--type", "recipe", "--format", "json", "pages"]);
    let pages: Vec<serde_json::Value> = serde_json::from_str(&ran.out).expect("one array");
    let names: Vec<&str> = pages.iter().filter_map(|page| page["page"].as_str()).collect();
    assert_eq!(names, ["pages/a.html", "pages/inner/b.HTM"]);
}

#[test]
fn a_schema_of_the_callers_own_is_filled() {
    let scratch = Scratch::new();
    let schema =
        r#"{"title": "tea", "type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}"#;
    scratch.file("a.html", recipe("Tea")).file("tea.json", schema);
    let ran = scratch.run(&["--schema", "tea.json", "--format", "jsonl", "a.html"]);
    assert_eq!(ran.page("a.html")["result"]["data"][0], serde_json::json!({ "title": "Tea" }), "{}", ran.err);
}

#[test]
fn a_page_without_a_required_field_is_partial_and_the_exit_code_tells() {
    let scratch = Scratch::new();
    let schema = r#"{"type": "object", "required": ["title", "color"],
        "properties": {"title": {"type": "string"}, "color": {"type": "string"}}}"#;
    let whole = r#"<script type="application/ld+json">{"@type": "Product", "name": "Cup", "color": "green"}</script>"#;
    scratch.file("a.html", recipe("Tea")).file("b.html", whole).file("tea.json", schema);
    for format in ["table", "jsonl"] {
        let ran = scratch.run(&["--schema", "tea.json", "--format", format, "a.html", "b.html"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("1 complete, 1 partial"), "{}", ran.err);
        let said = if format == "table" { &ran.out } else { &ran.err };
        assert!(said.contains("does not give what the schema requires: color"), "{said}");
        if format == "jsonl" {
            assert_eq!(
                (&ran.page("a.html")["status"], &ran.page("b.html")["status"]),
                (&"partial".into(), &"complete".into())
            );
            assert_eq!(ran.page("a.html")["result"]["data"][0]["title"], "Tea", "what is there is kept");
        }
    }
}

#[test]
fn a_table_is_shown_as_a_table() {
    let scratch = Scratch::new();
    let page = "<table><caption>Fares</caption><tr><th>Class<th>Fare<tr><td>First<td>9.50<tr><td>Deck<td>4.20</table>";
    scratch.file("a.html", page);
    let ran = scratch.run(&["--type", "table", "a.html"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let line = |cells: [&str; 2]| ran.out.lines().any(|line| cells.iter().all(|cell| line.contains(cell)));
    assert!(
        line(["caption: Fares", ""]) && line(["Class", "Fare"]) && line(["First", "9.50"]) && line(["Deck", "4.20"]),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("7 values: 7 stand in their source"), "{}", ran.out);
}

#[test]
fn a_shop_schema_of_the_callers_own_is_filled_with_its_own_types() {
    let scratch = Scratch::new();
    let schema = serde_json::json!({
        "type": "object",
        "properties": {
            "name": {"type": "string"}, "price": {"type": "number"}, "currency": {"type": "string"},
            "in_stock": {"type": "boolean"}, "rating": {"type": "number"}
        },
        "required": ["name"]
    });
    let page = |state: &str| {
        format!(
            r#"<h1>Kettle</h1><script type="application/ld+json">{{"@type": "Product", "name": "Kettle", "offers": {{"price":
            "49.90", "priceCurrency": "EUR", "availability": "https://schema.org/{state}"}}, "aggregateRating":
            {{"ratingValue": "4.5", "reviewCount": "8"}}}}</script>"#
        )
    };
    scratch.file("shop.json", schema.to_string());
    scratch.file("there.html", page("InStock")).file("gone.html", page("SoldOut")).file("later.html", page("PreOrder"));
    let ran = scratch.run(&["--schema", "shop.json", "--format", "jsonl", "there.html", "gone.html", "later.html"]);
    let record = |name: &str| ran.page(name)["result"]["data"][0].clone();
    let mut kettle = serde_json::json!({"name": "Kettle", "price": 49.9, "currency": "EUR", "rating": 4.5});
    assert_eq!(record("later.html"), kettle, "neither in stock nor out of it");
    for (name, in_stock) in [("there.html", true), ("gone.html", false)] {
        kettle["in_stock"] = in_stock.into();
        assert_eq!(record(name), kettle, "{}", ran.err);
    }
}

#[test]
fn the_report_needs_nothing_else_and_runs_nothing() {
    let scratch = Scratch::new();
    let hostile = format!(
        "{}<script>alert(1)</script><img src=x onerror=alert(2)><style>body{{display:none}}</style>\
         <p onclick='alert(3)'>&lt;script&gt;alert(4)&lt;/script&gt; <a href='javascript:alert(5)'>link</a>",
        recipe("Tea")
    );
    scratch.file("a.html", hostile);
    let ran = scratch.run(&["--type", "recipe", "--format", "html", "--out", "report.html", "a.html"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let report = std::fs::read_to_string(scratch.path("report.html")).expect("the report");
    let lower = report.to_lowercase();
    for forbidden in ["<script", "<img", "<iframe", "<link", "onerror=", "onclick=", "javascript:", "src=", "url("] {
        assert!(!lower.contains(forbidden), "{forbidden}");
    }
    assert!(report.contains("&lt;script&gt;alert(4)&lt;/script&gt;"), "text stays text");
    let id = report.split("<mark id=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a marked quote");
    assert!(report.contains(&format!("href=\"#{id}\"")), "a value links to its mark");
}

#[test]
fn addresses_on_a_saved_page_resolve_where_it_was_published() {
    let ran = Scratch::new().run(&["--type", "recipe", "--format", "jsonl"]);
    let image = &ran.page("nikujaga.html")["result"]["data"][0]["image"];
    assert_eq!(image, "https://mainichidaidokoro.example/images/0147/main.jpg", "{}", ran.err);
}

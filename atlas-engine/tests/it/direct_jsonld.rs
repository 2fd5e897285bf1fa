//! JSON-LD as pages write it.

use crate::support::{assert_proven, evidence, extract, json_ld, recipe};
use atlas_schema::{Outcome, Source};
use serde_json::json;

fn named() -> serde_json::Value {
    json!({ "title": "Recipe", "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] })
}

#[tokio::test]
async fn graph_and_id_references_lead_to_the_referenced_item() {
    let html = json_ld(
        r##"{"@context": "https://schema.org", "@graph": [
            {"@type": "WebPage", "@id": "#page", "mainEntity": {"@id": "#soup"}},
            {"@type": "Person", "@id": "#ana", "name": "Ana Poe"},
            {"@type": ["Recipe", "NewsArticle"], "@id": "#soup", "name": "Soup", "author": {"@id": "#ana"},
             "aggregateRating": {"@type": "AggregateRating", "ratingValue": "4.5", "ratingCount": 12}}]}"##,
    );
    let result = recipe(&html).await;
    assert_eq!(result.data.len(), 1);
    assert_eq!(result.data[0]["title"], "Soup");
    assert_eq!(result.data[0]["author"], "Ana Poe");
    assert_eq!(result.data[0]["rating"], 4.5);
    assert_eq!(result.data[0]["rating_count"], 12);
    let pieces = evidence(&result, "/0/author");
    assert!(
        matches!(&pieces[0].source, Source::Embedded { syntax, pointer } if syntax == "json-ld" && pointer.as_str() == "/@graph/1/name")
    );
    assert_proven(&result);
}

#[tokio::test]
async fn a_cycle_of_references_ends() {
    let html = json_ld(
        r##"[{"@type": "Recipe", "@id": "#a", "name": "A", "isPartOf": {"@id": "#b"}}, {"@id": "#b", "hasPart": {"@id": "#a"}}]"##,
    );
    let result = extract(&html, named()).await;
    assert_eq!(result.data, [json!({ "name": "A" })]);
}

#[tokio::test]
async fn broken_json_is_read_where_its_meaning_is_plain() {
    let spellings = [
        "// generated\n{\"@type\": \"Recipe\", \"name\": \"Tea\",}",
        "<!-- {\"@type\": \"Recipe\", /* warm */ \"name\": \"Tea\"} -->",
        "<![CDATA[{\"@type\": \"Recipe\", \"name\": \"Tea\"}]]>",
        "//<![CDATA[\n{\"@type\": \"Recipe\", \"name\": \"Tea\"}\n//]]>",
        "{\"@type\": \"Recipe\", \"description\": \"two\nlines\tand a tab\", \"name\": \"Tea\"}",
        "{\"@type\": \"Recipe\", \"description\": \"bad \\' escape \\- here\", \"name\": \"Tea\"};",
        "{\"@type\": \"WebSite\", \"name\": \"Site\"} {\"@type\": \"Recipe\", \"name\": \"Tea\"}",
        "{&quot;@type&quot;: &quot;Recipe&quot;, &quot;name&quot;: &quot;Tea&quot;}",
        "{\"@type\": \"Recipe\", \"name\": \"Tea\", \"recipeIngredient\": [\"1 bag\", \"wat",
        "\u{feff}{'@type': 'Recipe', 'name': 'Tea'}",
        "{\"@type\": \"Recipe\", \"name\": \"Tea\", \"url\": , \"rating\": NaN}",
    ];
    for script in spellings {
        let result = extract(&json_ld(script), named()).await;
        assert_eq!(result.data, [json!({ "name": "Tea" })], "{script}");
        assert_proven(&result);
    }
}

#[tokio::test]
async fn depth_bombs_and_garbage_state_nothing() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for script in [deep.as_str(), "{\"a\":".repeat(50_000).as_str(), "null", "\"text\"", "{", "<<<>>>", "\u{0}\u{1}"] {
        let result = extract(&json_ld(script), named()).await;
        assert_ne!(result.data.first().map(|record| record["name"].clone()), Some(json!("")), "{result:?}");
    }
}

#[tokio::test]
async fn sections_and_steps_are_flattened_in_order() {
    let html = json_ld(
        r#"{"@type": "Recipe", "name": "Pie", "recipeInstructions": [
            {"@type": "HowToSection", "name": "Dough", "itemListElement": [
                {"@type": "HowToStep", "name": "Mix flour", "text": "Mix flour and butter."},
                {"@type": "HowToStep", "name": "Rest", "text": "Cool it for an hour."}]},
            {"@type": "HowToStep", "itemListElement": [
                {"@type": "HowToDirection", "text": "Bake."}, {"@type": "HowToTip", "text": "Do not open the oven."}]},
            "Serve."]}"#,
    );
    let result = recipe(&html).await;
    let expected =
        ["Dough", "Mix flour and butter.", "Rest", "Cool it for an hour.", "Bake.", "Do not open the oven.", "Serve."];
    assert_eq!(result.data[0]["instructions"], json!(expected));
    assert_proven(&result);
}

#[tokio::test]
async fn markup_inside_strings_is_removed_and_the_quote_keeps_it() {
    let html = json_ld(
        r#"{"@type": "Recipe", "name": "Mac &amp;amp; cheese", "recipeIngredient": ["1&nbsp;cup <b>milk<\/b>"],
            "recipeInstructions": "<ol><li>Boil.<\/li><li>Drain &amp; mix.<\/li><\/ol>"}"#,
    );
    let result = recipe(&html).await;
    assert_eq!(result.data[0]["title"], "Mac & cheese");
    assert_eq!(result.data[0]["ingredients"], json!(["1 cup milk"]));
    assert_eq!(result.data[0]["instructions"], json!(["Boil.", "Drain & mix."]));
    let piece = &evidence(&result, "/0/ingredients/0")[0];
    assert_eq!((piece.quote.as_str(), piece.transform.as_deref()), ("1&nbsp;cup <b>milk</b>", Some("text")));
    assert_proven(&result);
}

#[tokio::test]
async fn a_total_that_is_not_given_is_the_sum_of_its_parts_and_says_so() {
    let html = json_ld(
        r#"{"@type": "Recipe", "name": "Rice", "prepTime": "PT10M", "cookTime": "PT1H5M", "totalTime": "PT0M"}"#,
    );
    let result = recipe(&html).await;
    assert_eq!(result.data[0]["total_time"], 75);
    let Source::Derived { inputs } = &evidence(&result, "/0/total_time")[0].source else { panic!("not derived") };
    assert_eq!(inputs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/0/prep_time", "/0/cook_time"]);
    assert_proven(&result);
}

#[tokio::test]
async fn formats_decide_how_a_duration_is_written() {
    let html = json_ld(r#"{"@type": "Recipe", "name": "Stew", "totalTime": "PT90M"}"#);
    let schema = json!({ "title": "Recipe", "type": "object", "properties": {
        "total_time": { "type": "string", "format": "duration" },
        "totalTimeMinutes": { "type": "integer", "x-atlas": { "kind": "minutes", "path": "totalTime" } },
        "time": { "type": "integer", "description": "in seconds" } } });
    let result = extract(&html, schema).await;
    assert_eq!(result.data, [json!({ "total_time": "PT1H30M", "totalTimeMinutes": 90, "time": 5400 })]);
    assert_proven(&result);
}

#[tokio::test]
async fn context_aliases_and_prefixes_are_honoured() {
    let html = json_ld(
        r#"{"@context": {"s": "https://schema.org/", "label": "s:name", "kind": "@type"}, "kind": "s:Recipe", "label": "Tea"}"#,
    );
    assert_eq!(extract(&html, named()).await.data, [json!({ "name": "Tea" })]);
}

#[tokio::test]
async fn reversed_properties_and_value_objects_are_read() {
    let html = json_ld(
        r#"{"@type": "Person", "name": {"@value": "Ana", "@language": "en"}, "@reverse": {"author":
            {"@type": "Recipe", "name": {"@value": "Tea"}, "recipeIngredient": {"@list": ["water", "leaves"]}}}}"#,
    );
    let result = recipe(&html).await;
    assert_eq!(result.data[0]["title"], "Tea");
    assert_eq!(result.data[0]["author"], "Ana");
    assert_eq!(result.data[0]["ingredients"], json!(["water", "leaves"]));
}

#[tokio::test]
async fn keywords_are_split_at_commas_but_ingredients_are_not() {
    let html = json_ld(
        r#"{"@type": "Recipe", "name": "Tea", "keywords": "hot, drink; Tea,hot", "recipeIngredient": ["leaves, dried"]}"#,
    );
    let result = recipe(&html).await;
    assert_eq!(result.data[0]["keywords"], json!(["hot", "drink", "Tea"]));
    assert_eq!(result.data[0]["ingredients"], json!(["leaves, dried"]));
    assert_proven(&result);
}

#[tokio::test]
async fn a_list_page_gives_every_record_and_a_detail_page_one() {
    let product = |name: &str, price: &str| {
        format!(
            r#"{{"@type": "Product", "name": "{name}", "sku": "{name}1", "offers": {{"price": "{price}", "priceCurrency": "EUR"}}}}"#
        )
    };
    let schema = || {
        json!({ "title": "Product", "type": "object", "required": ["name"],
        "properties": { "name": { "type": "string" }, "price": { "type": "number" } } })
    };
    let list = json_ld(&format!(
        r#"{{"@type": "ItemList", "itemListElement": [{{"@type": "ListItem", "position": 1, "item": {}}}, {{"@type": "ListItem", "item": {}}}]}}"#,
        product("Cup", "3.50"),
        product("Pot", "12")
    ));
    let result = extract(&list, schema()).await;
    assert_eq!(result.data, [json!({ "name": "Cup", "price": 3.5 }), json!({ "name": "Pot", "price": 12 })]);
    let detail = json_ld(&format!(
        r#"{{"@type": "Product", "name": "Cup", "offers": {{"price": 3.5}}, "isRelatedTo": [{}]}}"#,
        product("Pot", "12")
    ));
    assert_eq!(extract(&detail, schema()).await.data, [json!({ "name": "Cup", "price": 3.5 })]);
    assert_eq!(result.outcome, Some(Outcome::Complete));
}

#[tokio::test]
async fn nested_objects_and_open_maps_are_filled() {
    let html = json_ld(
        r#"{"@type": "Product", "name": "Cup", "brand": "Acme", "offers": {"@type": "Offer", "price": "1,299.00", "priceCurrency": "USD",
            "availability": "https://schema.org/OutOfStock"}, "nutrition": {"@type": "NutritionInformation", "calories": "10 kcal"}}"#,
    );
    let schema = json!({ "title": "Product", "type": "object", "properties": {
        "price": { "type": "object", "properties": {
            "amount": { "type": "string", "x-atlas": { "kind": "amount-text", "path": "price" } }, "currency": { "type": "string" } } },
        "brand": { "type": "object", "properties": { "name": { "type": "string" } } },
        "availability": { "enum": ["in_stock", "out_of_stock"] },
        "nutrition": { "type": "object", "additionalProperties": { "type": "string" } } } });
    let result = extract(&html, schema).await;
    assert_eq!(
        result.data,
        [json!({ "price": { "amount": "1299", "currency": "USD" }, "brand": { "name": "Acme" },
        "availability": "out_of_stock", "nutrition": { "calories": "10 kcal" } })]
    );
    assert_proven(&result);
}

#[tokio::test]
async fn a_schema_titled_offer_takes_what_the_offer_leaves_out_from_the_product_that_holds_it() {
    let html = json_ld(
        r#"{"@type": "Product", "name": "Cup", "sku": "C-1", "offers": {"@type": "Offer", "price": "12.50", "priceCurrency": "EUR"}}"#,
    );
    let schema = json!({ "title": "Offer", "type": "object", "properties": { "name": { "type": "string" },
        "sku": { "type": "string" }, "price": { "type": "number" }, "currency": { "type": "string" } } });
    let result = extract(&html, schema).await;
    assert_eq!(result.data, [json!({ "name": "Cup", "sku": "C-1", "price": 12.5, "currency": "EUR" })]);
    assert_proven(&result);
}

#[tokio::test]
async fn a_title_hints_at_a_type_where_x_atlas_insists_on_it() {
    let html = json_ld(r#"{"@type": "Product", "name": "Cup", "sku": "C-1", "offers": {"price": "12.50"}}"#);
    let schema = |hints: serde_json::Value| {
        let mut schema = json!({ "title": "Offer", "type": "object", "properties": { "name": { "type": "string" },
            "sku": { "type": "string" }, "price": { "type": "number" } } });
        schema.as_object_mut().unwrap().extend(hints.as_object().unwrap().clone());
        schema
    };
    let result = extract(&html, schema(json!({}))).await;
    assert_eq!(result.data, [json!({ "name": "Cup", "sku": "C-1", "price": 12.5 })]);
    let result = extract(&html, schema(json!({ "x-atlas": { "type": "Offer" } }))).await;
    assert!(result.data.iter().all(|record| record.get("sku").is_none()), "{:?}", result.data);
    // A thing of another sort that answers few fields is not meant.
    let recipe = recipe(&html).await;
    assert!(recipe.data.iter().all(|record| record.get("title") != Some(&json!("Cup"))), "{:?}", recipe.data);
}

#[tokio::test]
async fn numbers_are_quoted_as_the_page_writes_them_to_the_last_digit() {
    let html = json_ld(
        r#"{"@type": "Product", "name": "A", "sku": 12345678901234567890123, "offers": {"price": 19.90, "priceCurrency": "USD"}}"#,
    );
    let result = extract(&html, atlas_engine::types::by_name("product").unwrap()).await;
    assert_eq!(result.data[0]["sku"], json!("12345678901234567890123"));
    assert_eq!(evidence(&result, "/0/sku")[0].quote, "12345678901234567890123");
    assert_eq!(evidence(&result, "/0/price")[0].quote, "19.90");
    for piece in result.evidence.values().flatten().filter(|piece| matches!(piece.source, Source::Embedded { .. })) {
        assert!(html.contains(&piece.quote), "{piece:?}");
    }
    assert_proven(&result);
}

#[tokio::test]
async fn a_number_beyond_all_numbers_costs_only_itself() {
    let html = json_ld(r#"{"@type": "Product", "weight": 1e400, "name": "A", "sku": "S-1"}"#);
    let result = extract(&html, atlas_engine::types::by_name("product").unwrap()).await;
    assert_eq!((&result.data[0]["name"], &result.data[0]["sku"]), (&json!("A"), &json!("S-1")));
}

#[tokio::test]
async fn quotation_marks_that_nobody_escaped_do_not_cut_a_text_short() {
    let html = json_ld(r#"{"@type": "Product", "name": "The "Big" Lamp", "sku": "X1"}"#);
    let result = extract(&html, atlas_engine::types::by_name("product").unwrap()).await;
    assert_eq!((&result.data[0]["name"], &result.data[0]["sku"]), (&json!("The \"Big\" Lamp"), &json!("X1")));
    // Where the marks can't be told apart the value is left out: no half of it is given for the whole.
    let html = json_ld(r#"{"@type": "Product", "sku": "X1", "name": "The "Big", the best", "brand": "B"}"#);
    let result = extract(&html, atlas_engine::types::by_name("product").unwrap()).await;
    assert_eq!(result.data[0]["sku"], json!("X1"));
    assert_ne!(result.data[0].get("name"), Some(&json!("The ")));
    assert_ne!(result.data[0].get("name"), Some(&json!("The")));
}

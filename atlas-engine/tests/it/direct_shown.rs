//! Markup that leaves something out or says it twice, beside what the page shows.

use crate::support::{assert_proven, evidence, recipe};
use atlas_schema::Source;
use serde_json::json;

fn with(recipe: &str, body: &str) -> String {
    format!("<!doctype html><title>Page</title><script type='application/ld+json'>{recipe}</script>{body}")
}

const NAMES: &str =
    r#"{"@type": "Recipe", "name": "Pudding", "recipeIngredient": ["milk", "rice", "brown sugar", "salt"]}"#;

#[tokio::test]
async fn ingredients_that_markup_names_without_amounts_are_read_as_shown() {
    let shown = [
        "<ul><li>500 ml\n milk</li><li><b>80 g</b> rice</li><li>2 tbsp brown sugar</li><li>some salt</li></ul>",
        "<div>500 ml</div><div>milk</div><div>80 g</div><div>rice</div><div>2 tbsp</div><div>brown sugar</div><p>some salt</p>",
    ];
    for body in shown {
        let result = recipe(&with(NAMES, &format!("<p>milk, rice and salt</p><h2>You need</h2>{body}"))).await;
        let expected = ["500 ml milk", "80 g rice", "2 tbsp brown sugar", "some salt"];
        assert_eq!(result.data[0]["ingredients"], json!(expected), "{body}");
        assert!(matches!(evidence(&result, "/0/ingredients/1")[0].source, Source::VisibleText {}));
        assert_proven(&result);
    }
    let below =
        "<p>milk</p><p>500 ml</p><p>rice</p><p>80 g</p><p>brown sugar</p><p>2 tbsp</p><p>salt</p><p>1 pinch</p>";
    let result = recipe(&with(NAMES, below)).await;
    assert_eq!(
        result.data[0]["ingredients"],
        json!(["milk 500 ml", "rice 80 g", "brown sugar 2 tbsp", "salt 1 pinch"])
    );
    assert_proven(&result);
}

#[tokio::test]
async fn ingredients_shown_without_amounts_stay_as_markup_says() {
    let result = recipe(&with(NAMES, "<ul><li>milk</li><li>rice</li><li>brown sugar</li><li>salt</li></ul>")).await;
    assert_eq!(result.data[0]["ingredients"], json!(["milk", "rice", "brown sugar", "salt"]));
    assert!(matches!(evidence(&result, "/0/ingredients/0")[0].source, Source::Embedded { .. }));
}

#[tokio::test]
async fn a_list_that_a_program_cut_at_its_commas_is_cut_as_the_page_cuts_it() {
    let html = with(
        r#"{"@type": "Recipe", "name": "Roast", "recipeIngredient": ["1", "5 kg beef", " in cubes", " salt"]}"#,
        "<ul><li>1,5 kg beef, in cubes</li><li>salt</li></ul>",
    );
    let result = recipe(&html).await;
    assert_eq!(result.data[0]["ingredients"], json!(["1,5 kg beef, in cubes", "salt"]));
    assert_proven(&result);
}

#[tokio::test]
async fn counting_numbers_go_also_where_a_label_stands_before_them() {
    let html = with(
        r#"{"@type": "Recipe", "name": "Tea", "recipeInstructions": [{"@type": "HowToStep", "text": "Instructions:"},
            {"@type": "HowToStep", "text": "1. Boil water."}, {"@type": "HowToStep", "text": "2. Add the leaves."},
            {"@type": "HowToStep", "text": "3. Wait."}, {"@type": "HowToStep", "text": "Enjoy."}]}"#,
        "",
    );
    let result = recipe(&html).await;
    assert_eq!(result.data[0]["instructions"], json!(["Boil water.", "Add the leaves.", "Wait.", "Enjoy."]));
    assert_proven(&result);
}

#[tokio::test]
async fn of_a_yield_given_twice_the_second_counts_if_it_says_what_is_counted() {
    for (given, read) in [
        (r#"["4", "4 to 6 servings"]"#, "4 servings"),
        (r#"["24", "24 cookies"]"#, "24 cookies"),
        (r#"["24", "24-30 cookies"]"#, "30 cookies"),
    ] {
        let html = with(&format!(r#"{{"@type": "Recipe", "name": "Bites", "recipeYield": {given}}}"#), "");
        assert_eq!(recipe(&html).await.data[0]["yields"], read, "{given}");
    }
}

#[tokio::test]
async fn a_bare_number_or_a_weight_beside_a_label_is_no_yield_of_a_described_recipe() {
    for shown in ["4", "100 g"] {
        let html =
            with(r#"{"@type": "Recipe", "name": "Stew"}"#, &format!("<dl><dt>Portion</dt><dd>{shown}</dd></dl>"));
        assert!(recipe(&html).await.data[0].get("yields").is_none(), "{shown}");
    }
    let html = with(r#"{"@type": "Recipe", "name": "Stew"}"#, "<dl><dt>Portion</dt><dd>4 people</dd></dl>");
    assert_eq!(recipe(&html).await.data[0]["yields"], "4 servings");
}

#[tokio::test]
async fn the_sites_own_heading_is_not_the_title_of_a_recipe_with_a_name() {
    let result = recipe(
        r#"<title>Tea cake - Our Kitchen</title><h1>Our Kitchen</h1>
           <div itemscope itemtype="https://schema.org/Recipe"><h2 itemprop="name">Tea cake</h2></div>"#,
    )
    .await;
    assert_eq!(result.data[0]["title"], "Tea cake");
}

#[tokio::test]
async fn lengths_of_time_in_links_and_sentences_are_not_the_recipes() {
    let result = recipe(
        r#"<h1>Soup</h1><dl><dt>Total time</dt><dd><a href="/quick">15 min</a></dd></dl>
           <dl><dt>Preparation</dt><dd>Heat the oil in the largest pan you have and wait for 2 min.</dd></dl>"#,
    )
    .await;
    assert!(result.data.first().is_none_or(|record| record.get("total_time").is_none()), "{:?}", result.data);
}

#[tokio::test]
async fn a_list_ends_at_an_accented_label() {
    let result = recipe(
        "<h1>Pan</h1><p>Ingredientes:</p><p>350 g de agua</p><p>500 g de harina</p><p>10 g de sal</p>\
         <p>Preparación:</p><p>Mezcla 500 g de harina con agua y sal durante 5 minutos.</p>",
    )
    .await;
    assert_eq!(result.data[0]["ingredients"], json!(["350 g de agua", "500 g de harina", "10 g de sal"]));
}

#[tokio::test]
async fn a_short_line_right_behind_the_one_before_is_part_of_the_list() {
    let shown = [
        "2 tablespoons of toasted sesame oil for the pan",
        "a pound of mushrooms of any kind",
        "250 g of silken tofu in cubes",
        "1 tablespoon of chili paste",
        "4 cups of vegetable stock, hot, or as much water",
        "1 egg",
    ];
    let html = with(
        &format!(r#"{{"@type": "Recipe", "name": "Stew", "recipeIngredient": "{}"}}"#, shown.concat()),
        &format!("<ul><li>{}</li></ul>", shown.join("</li><li>")),
    );
    let result = recipe(&html).await;
    assert_eq!(result.data[0]["ingredients"], json!(shown));
    assert_proven(&result);
}

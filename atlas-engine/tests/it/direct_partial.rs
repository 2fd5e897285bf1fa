//! Lists that markup gives in part, and what stands in lists without being an entry.

use crate::support::{assert_proven, recipe};
use serde_json::json;

fn with(recipe: &str, body: &str) -> String {
    format!("<!doctype html><title>Page</title><script type='application/ld+json'>{recipe}</script>{body}")
}

const SHOWN: &str = "<h2>Ingredients for 4 persons</h2><ul><li>500 g ravioli (fresh)</li><li>75 g butter</li>
    <li>1 lemon</li><li>salt and pepper</li></ul><h2>Other</h2>";

#[tokio::test]
async fn a_shown_list_that_holds_all_entries_of_the_markup_and_more_is_the_list() {
    for given in [r#"["ravioli 500g", "butter 75g", "Salt and pepper"]"#, r#""ravioli, butter""#] {
        let html = with(&format!(r#"{{"@type": "Recipe", "name": "Ravioli", "recipeIngredient": {given}}}"#), SHOWN);
        let result = recipe(&html).await;
        let whole = ["500 g ravioli (fresh)", "75 g butter", "1 lemon", "salt and pepper"];
        assert_eq!(result.data[0]["ingredients"], json!(whole), "{given}");
        assert_proven(&result);
    }
}

#[tokio::test]
async fn amounts_stand_before_things_where_the_page_shows_them_so() {
    let given = r#"["ravioli 500g", "butter 75g", "lemon 1", "Salt and pepper"]"#;
    let html = with(&format!(r#"{{"@type": "Recipe", "name": "Ravioli", "recipeIngredient": {given}}}"#), SHOWN);
    let result = recipe(&html).await;
    let shown = ["500 g ravioli (fresh)", "75 g butter", "1 lemon", "salt and pepper"];
    assert_eq!(result.data[0]["ingredients"], json!(shown));
    assert_proven(&result);
}

#[tokio::test]
async fn a_last_line_that_leads_elsewhere_is_no_step() {
    let html = |last: &str| {
        format!(
            "<h1>Tart</h1><p>Method:</p><p>Heat the oven to 200 degrees.</p><section>Line a tin with the pastry.</section>
             <div>Bake it for half an hour until brown.</div><aside>{last}</aside><h2>Other</h2>"
        )
    };
    let steps =
        ["Heat the oven to 200 degrees.", "Line a tin with the pastry.", "Bake it for half an hour until brown."];
    let result = recipe(&html("Follow us on <a href=/p>pictures</a> too and keep this tart there!")).await;
    assert_eq!(result.data[0]["instructions"], json!(steps));
    let result = recipe(&html("Serve the tart warm with a spoon of sour cream.")).await;
    assert_eq!(result.data[0]["instructions"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_shown_list_of_other_things_does_not_replace_the_markups() {
    let given = ["500 g ravioli", "2 tomatoes", "Salt and pepper"];
    let html = with(&json!({ "@type": "Recipe", "name": "Ravioli", "recipeIngredient": given }).to_string(), SHOWN);
    assert_eq!(recipe(&html).await.data[0]["ingredients"], json!(given));
}

#[tokio::test]
async fn an_entry_that_the_page_sets_as_a_heading_is_no_ingredient() {
    let given = ["1 kg chicken", "salt", "THE MARINADE", "2 tbsp yogurt", "1 tsp cumin", "pepper"];
    let data = json!({ "@type": "Recipe", "name": "Tikka", "recipeIngredient": given }).to_string();
    let bodies = [
        "<p class=e>1 kg chicken</p><p class=e>salt</p><p class=h>THE MARINADE</p><p class=e>2 tbsp yogurt</p><p class=e>1 tsp cumin</p><p class=e>pepper</p>",
        "<ul><li>1 kg chicken<li>salt<li><h3>The marinade</h3><li>2 tbsp yogurt<li>1 tsp cumin<li>pepper</ul>",
    ];
    for body in bodies {
        let result = recipe(&with(&data, body)).await;
        let without = ["1 kg chicken", "salt", "2 tbsp yogurt", "1 tsp cumin", "pepper"];
        assert_eq!(result.data[0]["ingredients"], json!(without), "{body}");
        assert_proven(&result);
    }
    // Where it looks like the others, or is not shown, it stays.
    for body in ["", "<ul><li>1 kg chicken<li>salt<li>The marinade<li>2 tbsp yogurt<li>1 tsp cumin<li>pepper</ul>"] {
        assert_eq!(recipe(&with(&data, body)).await.data[0]["ingredients"], json!(given), "{body}");
    }
}

#[tokio::test]
async fn a_bold_line_among_bare_ones_is_a_heading_and_a_thing_with_its_count_is_an_ingredient() {
    let result = recipe(
        "<h1>Meatballs</h1><h2>Ingredients</h2><p><strong>Meatballs</strong><br>400 g lamb<br>2 cloves garlic<br>egg 1<br>
         <strong>Sauce</strong><br>2 onions<br>300 g yogurt</p><h2>Other</h2>",
    )
    .await;
    let things = ["400 g lamb", "2 cloves garlic", "egg 1", "2 onions", "300 g yogurt"];
    assert_eq!(result.data[0]["ingredients"], json!(things));
    let html =
        with(r#"{"@type": "Recipe", "name": "Pie", "recipeIngredient": ["lemon 1", "eggs 2", "flour 200 g"]}"#, "");
    assert_eq!(recipe(&html).await.data[0]["ingredients"], json!(["lemon 1", "eggs 2", "flour 200 g"]));
}

#[tokio::test]
async fn the_name_of_a_part_with_its_colon_is_no_ingredient_of_markup_either() {
    let html = with(
        r#"{"@type": "Recipe", "name": "Tart", "recipeIngredient": ["For the dough:", "200 g flour", "100 g butter", "1 egg"]}"#,
        "",
    );
    assert_eq!(recipe(&html).await.data[0]["ingredients"], json!(["200 g flour", "100 g butter", "1 egg"]));
}

#[tokio::test]
async fn a_list_shown_again_in_other_units_counts_once() {
    let metric = ["100 g butter", "200 g sugar", "25 g cornflour", "1 tsp salt"];
    let imperial = ["3.5 oz butter", "7 oz sugar", "0.9 oz cornstarch", "1 tsp salt"];
    let items = [metric, imperial].concat().join("</li><li>");
    let result =
        recipe(&format!("<h1>Shortbread</h1><h2>Ingredients</h2><ul><li>{items}</li></ul><h2>Other</h2>")).await;
    assert_eq!(result.data[0]["ingredients"], json!(metric));
    assert_proven(&result);
}

#[tokio::test]
async fn names_that_only_count_the_steps_are_left_out() {
    let steps = |first: &str, second: &str| {
        format!(
            r#"{{"@type": "Recipe", "name": "Tea", "recipeInstructions": [
                {{"@type": "HowToStep", "name": "{first}", "text": "Boil the water."}},
                {{"@type": "HowToStep", "name": "{second}", "text": "Add the leaves."}}]}}"#
        )
    };
    let result = recipe(&with(&steps("tea_r step 1", "tea_r step 2"), "")).await;
    assert_eq!(result.data[0]["instructions"], json!(["Boil the water.", "Add the leaves."]));
    let result = recipe(&with(&steps("Boiling", "Steeping"), "")).await;
    assert_eq!(result.data[0]["instructions"], json!(["Boiling", "Boil the water.", "Steeping", "Add the leaves."]));
}

#[tokio::test]
async fn one_short_text_is_no_list_of_steps_and_a_warning_says_so() {
    let html = with(r#"{"@type": "Recipe", "name": "Rice", "recipeInstructions": "Ingredients How to"}"#, "");
    let result = recipe(&html).await;
    assert!(result.data[0].get("instructions").is_none(), "{:?}", result.data);
    assert!(result.warnings.iter().any(|warning| warning.code == "value_doubtful"));
}

#[tokio::test]
async fn one_statement_of_time_is_one_part_and_no_total() {
    let shown = with(r#"{"@type": "Recipe", "name": "Bowl", "cookTime": "PT35M"}"#, "<p>Preparation time: 35 min</p>");
    let result = recipe(&shown).await;
    assert_eq!(result.data[0]["cook_time"], json!(35));
    assert!(result.data[0].get("prep_time").is_none() && result.data[0].get("total_time").is_none());
    assert_proven(&result);
    // Two statements are two parts, as long as each other or not.
    let two = with(r#"{"@type": "Recipe", "name": "Bowl", "prepTime": "PT35M", "cookTime": "PT35M"}"#, "");
    assert_eq!(recipe(&two).await.data[0]["total_time"], 70);
}

#[tokio::test]
async fn a_line_of_a_count_and_its_unit_is_the_yield_unless_the_page_has_several() {
    let html = |lines: &str| format!("<h1>Soup</h1>{lines}<h2>Ingredients</h2><ul><li>2 onions<li>300 ml water</ul>");
    for (lines, yields) in [
        ("<p>4 personen</p>", json!("4 servings")),
        ("<p>2 - 4 porcje</p>", json!("4 servings")),
        ("<p>4 people came</p>", json!(null)),
        ("<p>1 personas</p>", json!(null)),
        ("<p>4 personen</p><p>6 personen</p>", json!(null)),
    ] {
        assert_eq!(recipe(&html(lines)).await.data[0]["yields"], yields, "{lines}");
    }
}

#[tokio::test]
async fn a_bare_number_of_hundreds_is_no_yield() {
    let html = with(r#"{"@type": "Recipe", "name": "Starter", "recipeYield": 250}"#, "");
    assert!(recipe(&html).await.data[0].get("yields").is_none());
    let html = with(r#"{"@type": "Recipe", "name": "Starter", "recipeYield": "250 grams"}"#, "");
    assert_eq!(recipe(&html).await.data[0]["yields"], "250 grams");
}

#[tokio::test]
async fn a_blank_that_was_read_in_the_wrong_charset_is_a_blank() {
    let html = with(
        "{\"@type\": \"Recipe\", \"name\": \"Rice\", \"recipeIngredient\": [\"1 cup\u{c2}\u{a0}rice\", \"salt\"]}",
        "",
    );
    let result = recipe(&html).await;
    assert_eq!(result.data[0]["ingredients"], json!(["1 cup rice", "salt"]));
    assert_proven(&result);
}

#[tokio::test]
async fn names_of_parts_are_apart_from_steps_where_markup_describes_the_recipe() {
    let steps = "<h2>Instructions</h2><h3>Dressing</h3><ol><li>Whisk oil, vinegar and honey.</li></ol>
        <h3>Salad</h3><ol><li>Slice the apples thinly.</li><li>Toss all and serve at once.</li></ol><h2>Other</h2>";
    let result = recipe(&with(r#"{"@type": "Recipe", "name": "Apple salad"}"#, steps)).await;
    let bare = ["Whisk oil, vinegar and honey.", "Slice the apples thinly.", "Toss all and serve at once."];
    assert_eq!(result.data[0]["instructions"], json!(bare));
    assert_proven(&result);
}

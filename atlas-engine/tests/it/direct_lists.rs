//! Lists that no markup states: rows of any element, the names of their parts, and parts that only a class names.

use crate::support::{assert_proven, recipe};
use serde_json::json;

#[tokio::test]
async fn rows_of_any_element_are_a_list_and_hold_amount_and_thing_together() {
    let result = recipe(
        "<h1>Soup</h1><h2>Ingredients</h2><div class=box><div class='row odd'><span>2</span> <span>onions</span></div>
         <div class='row even'><span>300 ml</span> <span>water</span></div><div class='row odd'><span>1 pinch</span> <span>salt</span></div></div>
         <h2>Other</h2><p>Text.</p>",
    )
    .await;
    assert_eq!(result.data[0]["ingredients"], json!(["2 onions", "300 ml water", "1 pinch salt"]));
    assert_proven(&result);
}

#[tokio::test]
async fn the_names_of_parts_stand_among_steps_but_not_among_ingredients() {
    let result = recipe(
        "<h1>Cake</h1><h2>Ingredients</h2><ul><li>For the dough:</li><li>200 g flour</li><li>2 eggs</li></ul>
         <h2>Method</h2><h4>Dough</h4><ol><li>Stir flour and eggs until smooth.</li><li>Let the dough rest for an hour.</li></ol>
         <h4>Baking</h4><ol><li>Bake it in a hot oven until brown.</li></ol><h2>Notes</h2><ul><li>Keeps for three days in a tin.</li></ul>",
    )
    .await;
    assert_eq!(result.data[0]["ingredients"], json!(["200 g flour", "2 eggs"]));
    let steps = json!([
        "Dough",
        "Stir flour and eggs until smooth.",
        "Let the dough rest for an hour.",
        "Baking",
        "Bake it in a hot oven until brown."
    ]);
    assert_eq!(result.data[0]["instructions"], steps);
    assert_proven(&result);
}

#[tokio::test]
async fn a_class_names_a_list_that_has_no_label_unless_its_entries_are_no_amounts() {
    let html =
        |entries: &str| format!("<h1>Tea</h1><div class='tea__ingredients-list'><ul>{entries}</ul></div><p>Text.</p>");
    let result = recipe(&html("<li>2 bags of tea<li>1 litre water<li>honey")).await;
    assert_eq!(result.data[0]["ingredients"], json!(["2 bags of tea", "1 litre water", "honey"]));
    let result = recipe(&html("<li>Shop<li>Our story<li>Contact")).await;
    assert_eq!(result.data[0]["ingredients"], json!(null));
}

#[tokio::test]
async fn a_list_ends_at_remarks_whatever_letters_their_label_has() {
    let result = recipe(
        "<h1>Suppe</h1><p>Zutaten</p><ul><li>2 Zwiebeln</li><li>300 ml Wasser</li></ul><p>Nährwerte</p><ul><li>120 kcal</li></ul>",
    )
    .await;
    assert_eq!(result.data[0]["ingredients"], json!(["2 Zwiebeln", "300 ml Wasser"]));
    assert_proven(&result);
}

#[tokio::test]
async fn counted_steps_do_not_go_on_in_bullets_and_an_entry_ends_where_the_list_does() {
    let steps =
        "<h1>Soup</h1><h2>Method</h2><ol><li>Chop the onions as finely as you can.</li><li>Boil them in salted water.";
    for after in [
        "</li></ol><p>More</p><ul><li>Keeps for three days in the fridge.</li></ul>",
        "<h2>More of this</h2><a href=/>Stew</a></li></ol>",
    ] {
        let result = recipe(&format!("{steps}{after}")).await;
        let expected = ["Chop the onions as finely as you can.", "Boil them in salted water."];
        assert_eq!(result.data[0]["instructions"], json!(expected), "{after}");
        assert_proven(&result);
    }
}

//! Labels and values in the layouts that pages use.

use atlas_engine::facts::deflist::definitions;
use atlas_engine::facts::labelled::{Labelled, Layout, labelled};
use atlas_engine::page::{Page, ParseOptions};
use proptest::prelude::*;

fn page(html: &str) -> Page {
    Page::from_html(html, &ParseOptions::default()).unwrap()
}

fn texts(page: &Page, pair: &Labelled) -> (String, Vec<String>) {
    let text = |range: &std::ops::Range<usize>| page.text()[range.clone()].to_owned();
    (text(&pair.label), pair.values.iter().map(text).collect())
}

/// The values under a label in one layout.
fn values(html: &str, layout: Layout, label: &str) -> Vec<String> {
    let page = page(html);
    let pairs = labelled(&page);
    let fits = pairs.iter().filter(|pair| pair.layout == layout).map(|pair| texts(&page, pair));
    fits.filter(|(found, _)| found == label).flat_map(|(_, values)| values).collect()
}

#[test]
fn terms_share_the_descriptions_after_them() {
    let page = page("<dl><dt>Colour:<dt>Color<dd>red<dd>green<dt>Size<dd>L</dl>");
    let pairs: Vec<_> = definitions(&page).iter().map(|pair| texts(&page, pair)).collect();
    let both = vec!["red".to_owned(), "green".to_owned()];
    assert_eq!(pairs, [("Colour".to_owned(), both.clone()), ("Color".into(), both), ("Size".into(), vec!["L".into()])]);
}

#[test]
fn a_div_around_a_group_changes_nothing_and_hidden_text_says_nothing() {
    let page = page("<dl><div><dt>A<dd>1</div><div><dt>B<dd>2</div><dt>C<dd style='display:none'>3</dl>");
    let pairs: Vec<_> = definitions(&page).iter().map(|pair| texts(&page, pair)).collect();
    assert_eq!(pairs, [("A".to_owned(), vec!["1".to_owned()]), ("B".into(), vec!["2".into()])]);
}

#[test]
fn a_row_of_two_cells_is_a_pair() {
    let html = "<table><tr><th>Weight<td>2 kg<tr><td>Colour:</td><td>dark<br>red</td><tr><td>a<td>b<td>c</table>";
    assert_eq!(values(html, Layout::Row, "Weight"), ["2 kg"]);
    assert_eq!(values(html, Layout::Row, "Colour"), ["dark", "red"]);
    assert!(values(html, Layout::Row, "a").is_empty());
}

#[test]
fn a_line_is_cut_at_its_colon_but_not_at_that_of_a_time() {
    assert_eq!(values("<p>Prep time: 10 min | Cook time: 20 min", Layout::Line, "Cook time"), ["20 min"]);
    assert_eq!(values("<p>Portionen： 4", Layout::Line, "Portionen"), ["4"]);
    assert!(values("<p>Open 10:30 to 12:00", Layout::Line, "Open 10").is_empty());
}

#[test]
fn an_element_that_begins_a_line_is_its_label() {
    assert_eq!(values("<p><strong>Weight</strong> two kilos", Layout::Beside, "Weight"), ["two kilos"]);
    assert_eq!(
        values("<li><span class=x>Author</span><span>A. Writer</span>", Layout::Beside, "Author"),
        ["A. Writer"]
    );
}

#[test]
fn a_value_may_begin_with_a_digit_or_stand_on_the_next_line() {
    assert_eq!(values("<p>Serves 4 to 6", Layout::Prefix, "Serves"), ["4 to 6"]);
    assert_eq!(values("<div>Cook time</div><div>20 min</div>", Layout::Below, "Cook time"), ["20 min"]);
}

#[test]
fn prose_is_no_label() {
    let long = "word ".repeat(40);
    assert!(labelled(&page(&format!("<p>{long}: value"))).iter().all(|pair| pair.layout != Layout::Line));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_markup_gives_pairs_that_stand_on_the_page(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "<dl>", "<dt>", "<dd>", "<div>", "</div>", "</dl>", "<table>", "<tr>", "<td>", "<th>", "</table>", "<b>", "</b>", "<p>", "<br>",
            "label", ": ", "：", "10 min", " ß\u{a0}é ", "|", "•", "½", "<span>", "</span>", "\u{200b}", "<li>", "<pre>", " \n\t ", "-",
        ]), 0..60)
    ) {
        let page = page(&format!("<body>x{}", pieces.concat()));
        for pair in labelled(&page) {
            for range in pair.values.iter().chain([&pair.label]) {
                let text = page.text().get(range.clone());
                prop_assert!(text.is_some_and(|text| !text.trim().is_empty()), "{:?}", pair);
            }
        }
    }
}

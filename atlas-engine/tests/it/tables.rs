//! Tables as grids, with evidence for each text.

use atlas_engine::facts::tables::{Grid, Quoted, tables};
use atlas_engine::page::{Page, ParseOptions};
use proptest::prelude::*;

fn page(html: &str) -> Page {
    Page::from_html(html, &ParseOptions::default()).unwrap()
}

fn texts(row: &[Quoted]) -> Vec<&str> {
    row.iter().map(|cell| cell.text.as_str()).collect()
}

/// Header and rows of the only table.
fn read(html: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let page = page(html);
    let grids = tables(&page);
    assert_eq!(grids.len(), 1);
    let record = grids[0].record(&page);
    let owned = |row: &Vec<Quoted>| texts(row).into_iter().map(str::to_owned).collect::<Vec<_>>();
    (owned(&record.header), record.rows.iter().map(owned).collect())
}

fn rows(expected: &[&[&str]]) -> Vec<Vec<String>> {
    expected.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
}

#[test]
fn spans_repeat_their_cell_in_every_slot() {
    let (header, body) =
        read("<table><tr><th>A<th>B<th>C<tr><td rowspan=2>1<td colspan=2>2<tr><td>3<td>4<tr><td>5<td>6<td>7</table>");
    assert_eq!(header, ["A", "B", "C"]);
    assert_eq!(body, rows(&[&["1", "2", "2"], &["1", "3", "4"], &["5", "6", "7"]]));
}

#[test]
fn a_rowspan_of_zero_and_one_too_long_end_with_their_group() {
    for span in ["0", "99999"] {
        let (_, body) = read(&format!(
            "<table><tr><th>A<th>B<tbody><tr><td rowspan={span}>x<td>1<tr><td>2<tbody><tr><td>y<td>3</table>"
        ));
        assert_eq!(body, rows(&[&["x", "1"], &["x", "2"], &["y", "3"]]), "{span}");
    }
}

#[test]
fn an_overlap_leaves_the_slot_to_the_cell_from_above() {
    let (_, body) = read(
        "<table><tr><th>A<th>B<th>C<tr><td>1<td rowspan=2>2<td>3<tr><td colspan=2>4<td>5<tr><td>6<td>7<td>8</table>",
    );
    assert_eq!(body[1], ["4", "2", "5"]);
}

#[test]
fn several_rows_of_headings_are_joined() {
    let (header, body) = read(
        "<table><tr><th rowspan=2>Year<th colspan=2>Sales<tr><th>Home<th>Abroad<tr><td>2020<td>5<td>6<tr><td>2021<td>7<td>8</table>",
    );
    assert_eq!(header, ["Year", "Sales Home", "Sales Abroad"]);
    assert_eq!(body, rows(&[&["2020", "5", "6"], &["2021", "7", "8"]]));
}

#[test]
fn the_foot_comes_last_and_the_head_heads() {
    let (header, body) = read(
        "<table><thead><tr><td>A<td>B</thead><tfoot><tr><td>sum<td>3</tfoot><tbody><tr><td>x<td>1<tr><td>y<td>2</table>",
    );
    assert_eq!(header, ["A", "B"]);
    assert_eq!(body, rows(&[&["x", "1"], &["y", "2"], &["sum", "3"]]));
}

#[test]
fn titles_sections_and_notes_over_the_full_width_are_no_rows() {
    let (header, body) = read(
        "<table><tr><th colspan=2>All the tea<tr><th>Kind<th>Price<tr><td colspan=2>Green<tr><td>Sencha<td>5<tr><td>Matcha<td>9\
         <tr><td colspan=2>Prices of May</table>",
    );
    assert_eq!(header, ["Kind", "Price"]);
    assert_eq!(body, rows(&[&["Sencha", "5"], &["Matcha", "9"]]));
}

#[test]
fn what_is_hidden_is_not_in_the_grid() {
    let (_, body) = read(
        "<table><tr><th>A<th>B<tr style='display:none'><td>x<td>y<tr><td>1<td style='display: none'>no<td>2\
         <tr><td><span style='display:none'>003</span>3<td><span class=sortkey>Zed, A</span> A Zed</table>",
    );
    assert_eq!(body, rows(&[&["1", "2"], &["3", "A Zed"]]));
}

#[test]
fn footnote_marks_are_no_part_of_a_cell_and_powers_are() {
    let (header, body) = read(
        "<table><tr><th>Area<sup><a href='#n1'>[1]</a></sup><th>Name<tr><td>5 km<sup>2</sup><td>Lake<sup>[note 2]</sup>, the\
         <tr><td>6 km<sup>2</sup><td>Pond<sup><a href='#b'>b</a></sup></table>",
    );
    assert_eq!(header, ["Area", "Name"]);
    assert_eq!(body, rows(&[&["5 km2", "Lake , the"], &["6 km2", "Pond"]]));
}

#[test]
fn columns_without_text_are_left_out() {
    let (header, body) = read(
        "<table><tr><th colspan=2>Party<th>Seats<th>Photo<tr><td><td>Red<td>5<td><img src=a><tr><td><td>Blue<td>6<td><img src=b></table>",
    );
    assert_eq!(header, ["Party", "Seats"]);
    assert_eq!(body, rows(&[&["Red", "5"], &["Blue", "6"]]));
}

#[test]
fn a_table_in_a_cell_is_a_grid_of_its_own() {
    let page = page("<table><tr><td>menu<td><table><tr><th>A<th>B<tr><td>1<td>2</table></table>");
    let grids = tables(&page);
    assert_eq!(grids.iter().map(|grid| grid.is_data).collect::<Vec<_>>(), [false, true]);
    assert_eq!((grids[1].height(), grids[1].width()), (2, 2));
}

#[test]
fn tables_that_arrange_the_page_hold_no_data() {
    let long = "prose ".repeat(200);
    for html in [
        "<table role=presentation><tr><th>A<th>B<tr><td>1<td>2</table>".to_owned(),
        "<table><tr><td>Home<td>About</table>".to_owned(),
        format!("<table><tr><td>menu<td>{long}<tr><td>links<td>{long}</table>"),
        "<table></table><p>x".to_owned(),
    ] {
        assert!(tables(&page(&html)).iter().all(|grid| !grid.is_data), "{html}");
    }
}

#[test]
fn a_caption_is_kept_with_its_place() {
    let page = page("<table><caption>Tea <b>prices</b></caption><tr><th>A<th>B<tr><td>1<td>2</table>");
    let record = tables(&page)[0].record(&page);
    let caption = record.caption.unwrap();
    assert_eq!(caption.text, "Tea prices");
    assert_eq!(&page.text()[caption.spans[0].clone()], "Tea prices");
}

#[test]
fn hostile_spans_stay_within_memory() {
    let row = "<tr>".to_owned() + &"<td colspan=1000 rowspan=65534>x".repeat(50);
    let page = page(&format!("<table>{}</table>", row.repeat(200)));
    let grid = &tables(&page)[0];
    assert!(grid.truncated);
    assert!(grid.height() * grid.width() <= 100_000);
}

#[test]
fn hostile_spans_do_not_repeat_a_long_text_without_end() {
    let long = "word ".repeat(40_000);
    let page = page(&format!("<table>{}</table>", format!("<tr><th rowspan=900 colspan=900>{long}<td>x").repeat(3)));
    let record = tables(&page)[0].record(&page);
    let bytes: usize = record.rows.iter().flatten().chain(&record.header).map(|cell| cell.text.len()).sum();
    assert!(bytes < 100 << 20);
}

#[test]
fn very_many_tables_are_read_in_one_pass() {
    let page = page(&"<table><tr><th>A<th>B<tr><td>1<td>2</table>".repeat(20_000));
    assert_eq!(tables(&page).iter().filter(|grid| grid.is_data).count(), 20_000);
}

fn sound(page: &Page, grid: &Grid) -> bool {
    let record = grid.record(page);
    let quoted = record.header.iter().chain(record.rows.iter().flatten()).chain(record.caption.iter());
    let mut sound = record.rows.iter().all(|row| row.len() == record.header.len());
    for cell in quoted {
        let parts: Option<Vec<&str>> = cell.spans.iter().map(|span| page.text().get(span.clone())).collect();
        sound &= parts.is_some_and(|parts| parts.join(" ") == cell.text);
    }
    sound
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_markup_gives_even_rows_whose_quotes_stand_on_the_page(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "<table>", "</table>", "<tr>", "<td>", "<th>", "<td colspan=3>", "<td rowspan=2>", "<td rowspan=0>", "<th colspan=2 rowspan=3>",
            "<thead>", "<tbody>", "<tfoot>", "<caption>", "one", "2", " ß\u{a0}é ", "<br>", "<sup>[1]</sup>", "<sup><a href='#x'>a</a></sup>",
            "<span class=sortkey>k</span>", "<b>bold</b>", "<tr hidden>", "<td style='display:none'>", "<p>para", "<td rowspan=-1>", "<td colspan=x>",
        ]), 1..60)
    ) {
        let page = page(&format!("<table>{}", pieces.concat()));
        for grid in tables(&page) {
            prop_assert!(sound(&page, &grid));
        }
    }
}

#[tokio::test]
async fn a_table_as_a_record_has_evidence_for_every_cell_and_empty_ones_stay_in_place() {
    let page = page(
        "<table><caption>Teas</caption><tr><th>Kind<th>Price<tr><td>Sencha<sup>[1]</sup> green<td><tr><td>Matcha<br>fine<td>9 €</table>",
    );
    let schema = atlas_engine::types::by_name("table").unwrap();
    let request = atlas_schema::ExtractionRequest::new("https://example.org/teas", schema);
    let engine = atlas_engine::Engine::builder().build().unwrap();
    let result = engine.extract_page(&page, &request).await.unwrap();
    let expected = serde_json::json!([{
        "caption": "Teas",
        "header": ["Kind", "Price"],
        "rows": [["Sencha green", ""], ["Matcha fine", "9 €"]],
    }]);
    assert_eq!(serde_json::Value::Array(result.data), expected);
    assert_eq!(result.evidence.len(), 7);
    assert!(result.evidence.values().flatten().all(|piece| piece.verified.source && piece.verified.visible));
}

#[tokio::test]
async fn a_field_without_markup_is_found_under_its_label() {
    let page = page(
        "<html lang=de><h1>Apfelkuchen</h1><dl><dt>Zubereitungszeit<dd>20 Min.</dl><p>Portionen: 4<p><b>Autorin</b> A. Beispiel",
    );
    let schema = serde_json::json!({"type": "object", "title": "Recipe", "properties": {
        "prep_time": {"type": "integer", "description": "in minutes"}, "author": {"type": "string"}}});
    let request = atlas_schema::ExtractionRequest::new("https://example.org/kuchen", schema);
    let engine = atlas_engine::Engine::builder().build().unwrap();
    let result = engine.extract_page(&page, &request).await.unwrap();
    assert_eq!(serde_json::Value::Array(result.data), serde_json::json!([{"prep_time": 20, "author": "A. Beispiel"}]));
}

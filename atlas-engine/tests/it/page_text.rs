//! The visible text of a page, and the way back from it to the nodes.

use atlas_engine::page::{Page, ParseOptions, Run};

pub(crate) fn page(html: &str) -> Page {
    Page::from_html(html, &ParseOptions::default()).unwrap()
}

fn text(html: &str) -> String {
    page(html).text().to_owned()
}

fn of(page: &Page, tag: &str) -> String {
    page.text_of(page.elements(tag).next().unwrap()).to_owned()
}

#[test]
fn white_space_collapses_and_blocks_begin_lines() {
    assert_eq!(text("<div> a \n b<p>c</p>  d <span>e</span><b>f</b></div><ul><li>g<li> h </ul>"), "a b\nc\nd ef\ng\nh");
}

#[test]
fn words_stay_together_or_apart_as_a_browser_shows_them() {
    assert_eq!(text("a<b>b</b> <i> c </i> d"), "ab c d");
    assert_eq!(text("<span>a</span>\n<span>b</span>"), "a b");
    assert_eq!(text("a<!-- x -->b"), "ab");
    assert_eq!(text("a<img>b<button>c</button><button>d</button>"), "a b c d");
}

#[test]
fn breaks_and_rules_begin_one_line_each() {
    assert_eq!(text("a<br>b <br> <br> c<hr>d"), "a\nb\nc\nd");
}

#[test]
fn table_cells_are_parted_by_tabs() {
    assert_eq!(text("<table><tr><th>a<td> b <td><td>c<tr><td>d</table>"), "a\tb\tc\nd");
}

#[test]
fn preformatted_text_keeps_its_white_space() {
    assert_eq!(text("x <pre>\n a  b\n\n\tc</pre> y"), "x\n a  b\n\n\tc\ny");
}

#[test]
fn no_break_spaces_stay_and_invisible_characters_go() {
    assert_eq!(
        text("1&nbsp;000 super&shy;cali\u{200b}fragi\u{2060}listic \u{feff}x"),
        "1\u{a0}000 supercalifragilistic x"
    );
}

#[test]
fn a_style_may_make_a_block_of_a_word_and_a_word_of_a_block() {
    assert_eq!(text("a<span style='display: block'>b</span>c"), "a\nb\nc");
    assert_eq!(text("a<div style=display:inline>b</div>c"), "abc");
    assert_eq!(text("a<span style='Display:Inline-Block'>b</span>c"), "a b c");
}

#[test]
fn character_references_are_text() {
    assert_eq!(text("&lt;b&gt; &amp; &frac12; &#x20AC;5"), "<b> & ½ €5");
}

#[test]
fn the_range_of_a_node_has_no_white_space_at_its_ends() {
    let page = page("<p> a <b> b </b> c </p><p></p><pre>\n  x \n</pre>");
    assert_eq!(page.text(), "a b c\n  x \n");
    assert_eq!(of(&page, "b"), "b");
    assert_eq!(of(&page, "p"), "a b c");
    assert_eq!(of(&page, "pre"), "x");
    let empty = page.elements("p").nth(1).unwrap();
    assert_eq!(page.text_of(empty), "");
    assert!(page.text_range(empty).is_empty());
}

#[test]
fn each_byte_knows_the_text_node_it_came_from() {
    let page = page("<p>Pâté <b>de</b></p><p>x</p>");
    let texts: Vec<_> = page.descendants(page.root()).filter(|id| page.tag(*id).is_none()).collect();
    assert_eq!(page.text(), "Pâté de\nx");
    let at = |needle: &str| page.node_at(page.text().find(needle).unwrap());
    assert_eq!(at("é"), Some(texts[0]));
    assert_eq!(at(" "), Some(texts[0]));
    assert_eq!(at("de"), Some(texts[1]));
    assert_eq!(at("\n"), None, "what stands between blocks came from no node");
    assert_eq!(at("x"), Some(texts[2]));
    assert_eq!(page.node_at(page.text().len()), None);
}

#[test]
fn runs_lead_back_to_the_raw_characters() {
    let page = page("<p>Tea \n\t and&nbsp;cake</p>");
    let node = page.node_at(0).unwrap();
    assert_eq!(page.raw_text(node), Some("Tea \n\t and\u{a0}cake"));
    let runs: Vec<Run> = page.runs(2..6).collect();
    let found: Vec<_> = runs.iter().map(|run| (run.visible.clone(), run.raw.clone())).collect();
    assert_eq!(found, [(2..4, 2..4), (4..6, 7..9)]);
    assert!(runs.iter().all(|run| run.node == node));
    assert_eq!(page.visible_spans(node, 0..16).collect::<Vec<_>>(), [0..4, 4..13]);
    assert_eq!(page.visible_spans(node, 4..7).count(), 0, "collapsed white space is not seen");
}

#[test]
fn text_on_both_sides_of_a_comment_is_one_text() {
    let page = page("<p>$<!-- -->12</p>");
    assert_eq!(page.raw_text(page.node_at(0).unwrap()), Some("$12"));
}

#[test]
fn text_put_before_a_table_by_the_parser_is_whole_and_in_its_place() {
    let page = page("<div>a<table>b<tr>c<td>cell</td>d</table>e</div>");
    assert_eq!(page.text(), "abcd\ncell\ne");
    assert_eq!(page.raw_text(page.node_at(0).unwrap()), Some("abcd"));
}

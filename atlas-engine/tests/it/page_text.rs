//! The visible and hidden text of a page, and the way back to its nodes.

use atlas_engine::page::{Page, ParseOptions};

fn page(html: &str) -> Page {
    Page::from_html(html, &ParseOptions::default()).unwrap()
}

fn text(html: &str) -> String {
    page(html).text().to_owned()
}

#[test]
fn white_space_collapses_and_blocks_begin_lines() {
    assert_eq!(text("<div> a \n b<p>c</p>  d <span>e</span><b>f</b></div><ul><li>g<li> h </ul>"), "a b\nc\nd ef\ng\nh");
}

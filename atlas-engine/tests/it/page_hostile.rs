//! Pages made to break a parser end in a page or a clear refusal, in bounded time, on a small stack.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use atlas_engine::page::{Page, PageError, ParseOptions};
use atlas_schema::ErrorCategory;

/// Generous for a debug build on a busy machine; without its guard each of these takes minutes or for ever.
const BOUND: Duration = Duration::from_mins(2);

fn parse(html: &str) -> Result<Page, PageError> {
    parse_with(html, &ParseOptions::default())
}

/// Parses and reads on a stack of 256 KiB.
fn parse_with(html: &str, options: &ParseOptions) -> Result<Page, PageError> {
    let started = Instant::now();
    let result = std::thread::scope(|scope| {
        let work = || {
            let page = Page::parse(html.as_bytes(), options)?;
            let _ = (page.text().len(), page.hidden_text().len(), page.title());
            Ok(page)
        };
        std::thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, work).unwrap().join().unwrap()
    });
    assert!(started.elapsed() < BOUND, "took {:?}", started.elapsed());
    result
}

#[test]
fn an_empty_page_says_so() {
    for bytes in [&b""[..], b" \r\n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n"] {
        let error = Page::parse(bytes, &ParseOptions::default()).unwrap_err();
        assert_eq!((&error, error.category()), (&PageError::Empty, ErrorCategory::NoData));
    }
}

#[test]
fn binary_content_is_named() {
    let found = |bytes: &[u8]| match Page::parse(bytes, &ParseOptions::default()) {
        Err(PageError::NotHtml { found }) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(found(b"%PDF-1.7\nx"), "a PDF document");
    assert_eq!(found(b"\x89PNG\r\n\x1a\n0000"), "a PNG image");
    assert_eq!(found(b"\x1f\x8b\x08\x00abc"), "gzip data");
    assert_eq!(found(b"PK\x03\x04abc"), "a ZIP archive or office document");
    assert_eq!(found(b"RIFF0000WEBPVP8 "), "a WebP image");
    assert_eq!(found(b"\x00\x01\x02\x03<p>text\x04\x05\x06"), "binary data");
    assert_eq!(found(&(0..=255).cycle().take(5_000).collect::<Vec<u8>>()), "binary data");
    let error = Page::parse(b"%PDF-1.7\nx", &ParseOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "the bytes are a PDF document, not HTML: give the HTML page instead");
}

#[test]
fn a_page_of_100_mb_is_refused_by_its_size_and_read_when_asked_for() {
    let size = 100 << 20;
    let mut html = String::with_capacity(size + 100);
    while html.len() < size {
        html.push_str("<p>some words that fill the page with text that is long enough to be a paragraph of its own, and then some more of \
                       the same so that the page is large but not made of millions of nodes, as large pages mostly are</p>\n");
    }
    assert_eq!(parse(&html).unwrap_err(), PageError::TooLarge { bytes: html.len(), limit: 32 << 20 });
}

#[test]
fn a_page_as_large_as_the_limit_is_read() {
    let html = format!("<p>{}", "words and more words ".repeat(200_000));
    let options = ParseOptions::default().with_max_bytes(html.len());
    assert_eq!(parse_with(&html, &options).unwrap().text().len(), html.len() - 4);
}

#[test]
fn bad_input_60_a_hundred_thousand_nested_tags_are_refused() {
    for tag in ["<div>", "<b>", "<table><td>", "<span>", "<ul><li>", "<font size=1>", "<svg><g>", "<button><select>"] {
        let error = parse(&tag.repeat(100_000)).err();
        // Some tags may not nest, so the page is flat and fine.
        assert!(matches!(error, None | Some(PageError::TooDeep { .. } | PageError::TooComplex)), "{tag}: {error:?}");
    }
    assert_eq!(parse(&"<div>".repeat(100_000)).unwrap_err(), PageError::TooDeep { limit: 1_024 });
}

#[test]
fn nesting_up_to_the_limit_is_read() {
    let html = format!("{}x{}", "<div>".repeat(1_000), "</div>".repeat(1_000));
    assert_eq!(parse(&html).unwrap().text(), "x");
    let deep = format!("{}x", "<div>".repeat(4_000));
    let options = ParseOptions::default().with_max_depth(5_000);
    assert!(matches!(
        parse_with(&deep, &options).map(|page| page.text().to_owned()),
        Ok(_) | Err(PageError::TooComplex)
    ));
}

#[test]
fn bad_input_60_a_million_attributes_on_one_element_are_refused() {
    let mut html = String::from("<p ");
    for number in 0..1_000_000 {
        let _ = write!(html, "a{number}=1 ");
    }
    html.push_str(">x");
    assert_eq!(parse(&html).unwrap_err(), PageError::TooManyAttributes { limit: 4_096 });
    // Also when the brackets of a value would end the tag for a careless reader.
    let html = html.replace("=1 ", "='>' ");
    assert_eq!(parse(&html).unwrap_err(), PageError::TooManyAttributes { limit: 4_096 });
}

#[test]
fn many_attributes_over_many_elements_are_read() {
    let mut html = String::new();
    for number in 0..20_000 {
        let _ = write!(
            html,
            "<i a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8 i=9 j=0 k=1 l=2 m=3 n=4 o=5 p=6 q=7 r=8 s=9 t{number}=0>x</i>"
        );
    }
    let page = parse(&html).unwrap();
    assert_eq!(page.descendants(page.root()).map(|id| page.attrs(id).count()).sum::<usize>(), 400_000);
}

#[test]
fn long_values_and_comments_are_no_attributes() {
    let long = "word \u{2028} a='b' <b>c</b> ".repeat(40_000);
    let page = parse(&format!("<p title=\"{long}\">x</p><!-- {long} -->")).unwrap();
    assert_eq!(page.text(), "x");
    assert_eq!(page.attr(page.elements("p").next().unwrap(), "title"), Some(long.as_str()));
}

#[test]
fn many_tags_with_many_attributes_each_are_bounded() {
    let mut tag = String::from("<p");
    for number in 0..4_000 {
        let _ = write!(tag, " a{number:03x}");
    }
    tag.push('>');
    let result = parse(&tag.repeat(500));
    assert!(matches!(result, Err(PageError::TooComplex | PageError::TooManyAttributes { .. })), "{result:?}");
}

#[test]
fn bad_input_60_entity_floods_are_text() {
    let page = parse(&"&amp;&#x41;&nosuch;&ampx;&#xFFFFFFFF;&CounterClockwiseContourIntegral;".repeat(5_000)).unwrap();
    assert!(page.text().starts_with("&A&nosuch;&x;\u{fffd}∳&A"));
    assert!(parse(&"&".repeat(200_000)).is_ok());
    assert!(parse(&format!("<p title='{}'>", "&am".repeat(100_000))).is_ok());
}

#[test]
fn formatting_that_multiplies_is_stopped() {
    // Each paragraph repeats all open formatting elements, with their attributes.
    let mut html = String::new();
    for number in 0..900 {
        let _ = write!(html, "<b id={number} title='{}'>", "x".repeat(200));
    }
    html.push_str(&"<p>a</p>".repeat(10_000));
    let _ = parse(&html);
    let mut html = String::from("<p>");
    for number in 0..900 {
        let _ = write!(html, "<b id={number} title='{}'>", "x".repeat(200));
    }
    html.push_str(&"</p><p>a".repeat(10_000));
    let result = parse(&html);
    assert!(
        matches!(result, Err(PageError::TooComplex | PageError::TooManyNodes { .. } | PageError::TooDeep { .. })),
        "{result:?}"
    );
}

#[test]
fn text_that_the_parser_moves_about_stays_linear() {
    let page = parse(&format!("<table>{}</table>", "a<tr><td>b</td></tr>".repeat(50_000))).unwrap();
    assert!(page.text().starts_with("aaaa"));
    assert_eq!(page.text().matches('b').count(), 50_000);
}

#[test]
fn misnested_formatting_is_bounded() {
    for html in [
        "<a><b><i><p>".repeat(20_000),
        "<b></p>".repeat(50_000),
        "<p></b></i><b><i>".repeat(50_000),
        "<table><a>x<b>".repeat(20_000),
    ] {
        let _ = parse(&html);
    }
}

#[test]
fn bodies_that_repeat_add_no_more_than_allowed() {
    let mut html = String::new();
    for number in 0..100_000 {
        let _ = write!(html, "<body a{number}>");
    }
    assert!(matches!(parse(&html), Err(PageError::TooManyAttributes { .. } | PageError::TooComplex)));
}

#[test]
fn limits_are_those_of_the_options() {
    let options = ParseOptions::default;
    assert_eq!(
        parse_with(&"<p>x".repeat(1_000), &options().with_max_nodes(1_000)).unwrap_err(),
        PageError::TooManyNodes { limit: 1_000 }
    );
    assert_eq!(
        parse_with("<p a b c>", &options().with_max_attributes(2)).unwrap_err(),
        PageError::TooManyAttributes { limit: 2 }
    );
    assert_eq!(parse_with("<i><i><i>x", &options().with_max_depth(4)).unwrap_err(), PageError::TooDeep { limit: 4 });
    assert_eq!(parse_with("<i><i>x", &options().with_max_depth(4)).unwrap().text(), "x");
    assert_eq!(
        parse_with("<p>", &options().with_max_bytes(2)).unwrap_err(),
        PageError::TooLarge { bytes: 3, limit: 2 }
    );
}

#[test]
fn more_attributes_in_all_than_nodes_are_allowed_are_refused() {
    let html = "<br a b c d e f g h i j>".repeat(1_000);
    let limited = |nodes| parse_with(&html, &ParseOptions::default().with_max_nodes(nodes)).map(|page| page.len());
    assert_eq!(limited(10_000), Ok(1_004));
    assert_eq!(limited(9_999), Err(PageError::TooManyAttributes { limit: 9_999 }));
}

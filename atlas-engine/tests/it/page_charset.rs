//! Which charset a page is read in, and who decides.

use atlas_engine::page::{Encoding, EncodingSource, Page, ParseOptions};

const FRENCH: &[u8] = b"<p>Pur\xe9e de c\xe9leri, cr\xe8me fra\xeeche, p\xe2t\xe9";

fn with(bytes: &[u8], http: Option<&str>) -> Page {
    let mut options = ParseOptions::default();
    options.charset = http.map(str::to_owned);
    Page::parse(bytes, &options).unwrap()
}

fn chosen(bytes: &[u8], http: Option<&str>) -> (&'static str, EncodingSource) {
    let Encoding { name, source, .. } = with(bytes, http).encoding();
    (name, source)
}

fn meta(declaration: &str, body: &[u8]) -> Vec<u8> {
    [declaration.as_bytes(), body].concat()
}

#[test]
fn a_byte_order_mark_wins_over_everything() {
    let bytes = meta("\u{feff}<meta charset=windows-1252>", "<p>é".as_bytes());
    assert_eq!(chosen(&bytes, Some("koi8-r")), ("UTF-8", EncodingSource::Bom));
    let wide: Vec<u8> = "\u{feff}<p>é€".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(chosen(&wide, Some("utf-8")), ("UTF-16LE", EncodingSource::Bom));
    assert_eq!(with(&wide, None).text(), "é€");
    let wide: Vec<u8> = "\u{feff}<p>é€".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(with(&wide, None).text(), "é€");
}

#[test]
fn the_transport_wins_over_the_page() {
    let bytes = meta("<meta charset=koi8-r>", FRENCH);
    assert_eq!(chosen(&bytes, Some("ISO-8859-1")), ("windows-1252", EncodingSource::Http));
    assert_eq!(chosen(&bytes, Some("no-such-charset")), ("KOI8-R", EncodingSource::Meta));
}

#[test]
fn the_page_declares_in_many_ways() {
    for declaration in [
        "<meta charset=windows-1251>",
        "<META CharSet = 'windows-1251' >",
        "<!-- <meta charset=koi8-r> --><meta charset=\"windows-1251\"/>",
        "<html lang=ru data-x='>'><head><title>a > b</title><meta name=x content='charset=koi8-r'><meta charset=cp1251>",
        "<meta http-equiv=Content-Type content='text/html; charset=windows-1251'>",
        "<meta content=\"text/html;charset = 'windows-1251'\" http-equiv='content-type'>",
        "<?xml version='1.0' encoding='windows-1251'?>",
        "<!doctype html public 'x'><meta charset=windows-1251>",
    ] {
        let page = with(&meta(declaration, b"<body><p>\xc1\xee\xf0\xf9"), None);
        assert_eq!(
            (page.encoding().name, page.encoding().source),
            ("windows-1251", EncodingSource::Meta),
            "{declaration}"
        );
        assert!(page.text().contains("Борщ"), "{declaration}");
    }
}

#[test]
fn a_declaration_behind_a_long_head_is_found() {
    let head = format!("<head><script>{}</script><meta charset=windows-1251>", "var a = 1;\n".repeat(300));
    assert_eq!(chosen(&meta(&head, b"\xc1\xee\xf0\xf9"), None), ("windows-1251", EncodingSource::Meta));
}

#[test]
fn an_undeclared_charset_is_detected() {
    assert_eq!(chosen("<p>Crème brûlée".as_bytes(), None), ("UTF-8", EncodingSource::Detected));
    assert_eq!(chosen(b"<p>plain", None), ("UTF-8", EncodingSource::Detected));
    assert_eq!(chosen(FRENCH, None), ("windows-1252", EncodingSource::Detected));
    let (japanese, ..) = encode("Shift_JIS", "<p>これは日本語の文章です。料理の作り方を説明します。");
    assert_eq!(chosen(&japanese, None), ("Shift_JIS", EncodingSource::Detected));
    let wide: Vec<u8> = "<p>é€".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(chosen(&wide, None), ("UTF-16LE", EncodingSource::Detected));
}

#[test]
fn a_charset_that_the_bytes_contradict_is_not_believed() {
    // Declared UTF-8, but is not.
    let lying = meta("<meta charset=utf-8>", FRENCH);
    let page = with(&lying, Some("utf-8"));
    assert_eq!((page.encoding().name, page.encoding().source), ("windows-1252", EncodingSource::Detected));
    assert!(page.text().contains("fraîche") && !page.encoding().had_errors);
    // Declared something else, but is UTF-8.
    let bytes = meta("<meta charset=iso-8859-1>", "<p>Crème".as_bytes());
    assert_eq!(chosen(&bytes, Some("iso-8859-1")), ("UTF-8", EncodingSource::Detected));
    let bytes = meta("<meta charset=gbk>", "<p>麻婆豆腐的做法，非常简单".as_bytes());
    assert_eq!(chosen(&bytes, None), ("UTF-8", EncodingSource::Detected));
}

#[test]
fn a_few_broken_bytes_do_not_change_the_charset() {
    let mut bytes = "<meta charset=utf-8><p>Crème brûlée à la façon de grand-mère".as_bytes().to_vec();
    bytes.extend_from_slice(b"\xff\xe2\x82");
    let page = with(&bytes, None);
    assert_eq!((page.encoding().name, page.encoding().source), ("UTF-8", EncodingSource::Meta));
    assert!(page.encoding().had_errors && page.text().contains("Crème brûlée"));
}

#[test]
fn pages_from_text_have_no_charset_to_guess() {
    let page = Page::from_html("<meta charset=koi8-r><p>é", &ParseOptions::default()).unwrap();
    assert_eq!((page.encoding().source, page.text()), (EncodingSource::Text, "é"));
}

fn encode(label: &str, text: &str) -> (Vec<u8>, bool) {
    let (bytes, _, lossy) = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap().encode(text);
    (bytes.into_owned(), lossy)
}

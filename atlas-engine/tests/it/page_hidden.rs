//! Text that no reader sees is told apart from text that one does.

use crate::page_text::page;

fn texts(html: &str) -> (String, String) {
    let page = page(html);
    (page.text().to_owned(), page.hidden_text().to_owned())
}

#[test]
fn what_is_not_shown_is_hidden_text() {
    for html in [
        "<p hidden>x</p>",
        "<p hidden=until-found>x</p>",
        "<div hidden><div><p>x</div></div>",
        "<template><p>x</template>",
        "<dialog>x</dialog>",
        "<datalist><option>x</datalist>",
        "<video>x</video>",
        "<title>x</title>",
        "<svg><title>x</title></svg>",
        "<math><semantics><annotation>x</annotation></semantics></math>",
        "<p style='display:none'>x",
        "<p style='color:red; DISPLAY : None !important'>x",
        "<p style=visibility:hidden>x",
        "<p style='opacity:0.0'>x",
        "<p style='font-size:0px'>x",
        "<p style='position:absolute;left:-9999px'>x",
        "<p style='position:fixed; top:-100em'>x",
        "<p style='text-indent:-9999px'>x",
        "<p style='position:absolute;clip:rect(0 0 0 0)'>x",
        "<p style='position:absolute;clip-path: inset(50%)'>x",
        "<p style='height:0;overflow:hidden'>x",
        "<p style='color:transparent'>x",
        "<p style='color:#fff;background:white'>x",
        "<p style='background-color: rgb(1, 2, 3); color: #010203'>x",
        "<p style='transform: scale( 0 )'>x",
    ] {
        assert_eq!(texts(&format!("<body>seen{html}")), ("seen".into(), "x".into()), "{html}");
    }
}

#[test]
fn what_a_reader_can_see_is_visible_text() {
    for html in [
        "<p aria-hidden=true>x</p>",
        "<details><summary>x</summary></details>",
        "<dialog open>x</dialog>",
        "<p style='opacity:0.5'>x",
        "<p style='left:-9999px'>x",
        "<p style='position:absolute;left:-20px'>x",
        "<p style='position:absolute;clip:rect(0 100px 20px 0)'>x",
        "<p style='height:0'>x",
        "<p style='max-height:0;overflow:hidden'>x",
        "<p style='color:#fff;background:#000'>x",
        "<p style='color:#fff;background:url(x.png)'>x",
        "<p style='font-size:0.8em'>x",
        "<p style='display:none-of-these; :; opacity'>x",
        "<select><option>x</select>",
        "<textarea>x</textarea>",
    ] {
        assert_eq!(texts(html), ("x".into(), String::new()), "{html}");
    }
}

#[test]
fn code_is_in_neither_text_and_can_be_read_raw() {
    let page =
        page("<p>a<script>let b = '<p>';</script><style>p{}</style><noscript><img src=c></noscript><iframe>d</iframe>");
    assert_eq!((page.text(), page.hidden_text()), ("a", ""));
    let raw = |tag| page.raw_text(page.elements(tag).next().unwrap());
    assert_eq!(raw("script"), Some("let b = '<p>';"));
    assert_eq!(raw("style"), Some("p{}"));
    assert_eq!(raw("noscript"), Some("<img src=c>"));
    assert_eq!(raw("iframe"), Some("d"));
    assert_eq!(raw("p"), None);
}

#[test]
fn invisible_tag_characters_are_hidden_text() {
    let (visible, hidden) = texts("<p>price 5\u{e0049}\u{e0047}\u{e004e} EUR</p>");
    assert_eq!(visible, "price 5 EUR");
    assert_eq!(hidden, "\u{e0049}\u{e0047}\u{e004e}");
}

#[test]
fn a_node_is_hidden_with_what_is_around_it() {
    let page = page("<div style=display:none><p><b>x</b></p></div><p>y</p>");
    let inner = page.elements("b").next().unwrap();
    assert!(page.is_hidden(inner));
    assert!(!page.is_hidden(page.elements("p").nth(1).unwrap()));
    assert_eq!(&page.hidden_text()[page.hidden_range(inner)], "x");
    assert_eq!(page.hidden_node_at(0), page.first_child(inner));
    assert_eq!(page.text_of(inner), "");
}

#[test]
fn pieces_of_hidden_text_stand_on_lines_of_their_own() {
    let (visible, hidden) = texts("<title>t</title><p>a<span hidden>h  1</span>b<template>i</template>c");
    assert_eq!(visible, "abc");
    assert_eq!(hidden, "t\nh 1\ni");
}

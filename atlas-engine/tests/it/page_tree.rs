//! The tree of a page, its attributes and what it says about itself.

use atlas_engine::page::{NodeId, Page, ParseOptions};

use crate::page_text::page;

/// The tree below a node in one line: `p(b("x"))`.
fn show(page: &Page, id: NodeId) -> String {
    let inner: Vec<String> = page.children(id).map(|child| show(page, child)).collect();
    match (page.tag(id), page.raw_text(id)) {
        (Some(tag), _) if inner.is_empty() => tag.to_owned(),
        (Some(tag), _) => format!("{tag}({})", inner.join(" ")),
        (None, Some(text)) => format!("{text:?}"),
        (None, None) => inner.join(" "),
    }
}

fn tree(html: &str) -> String {
    let page = page(html);
    show(&page, page.elements("body").next().unwrap())
}

#[test]
fn the_tree_is_the_one_a_browser_builds() {
    assert_eq!(tree("<p>a<p>b"), r#"body(p("a") p("b"))"#);
    assert_eq!(tree("<b><p>x</b>y"), r#"body(b p(b("x") "y"))"#);
    assert_eq!(tree("<table><td>x"), r#"body(table(tbody(tr(td("x")))))"#);
    assert_eq!(tree("<table><b>x<tr><td>y"), r#"body(b("x") table(tbody(tr(td("y")))))"#);
    assert_eq!(tree("<template><p>x</template>"), "body".to_owned());
    assert_eq!(tree("<p><template><i>x</i></template>"), r#"body(p(template(i("x"))))"#);
    assert_eq!(tree("a<!-- b -->c<?d?>e"), r#"body("ace")"#);
}

#[test]
fn truncated_html_is_a_page() {
    for cut in ["<p>a<b", "<p>a<b class='", "<p>a</", "<p>a<!-- ", "<p>a&am", "<p>a<script>var", "<p>a<table><tr"] {
        let page = page(cut);
        assert!(page.text().starts_with('a'), "{cut}: {}", page.text());
    }
}

#[test]
fn links_between_nodes_agree() {
    let page = page("<ul><li>a<li>b<b>c</b><li></ul><p>d");
    let list = page.elements("ul").next().unwrap();
    let items: Vec<NodeId> = page.children(list).collect();
    assert_eq!(items, page.elements("li").collect::<Vec<_>>());
    assert_eq!(page.next_sibling(items[0]), Some(items[1]));
    assert_eq!(page.prev_sibling(items[1]), Some(items[0]));
    assert_eq!(page.prev_sibling(items[0]), None);
    assert_eq!(page.next_sibling(items[2]), None);
    assert_eq!(page.first_child(items[2]), None);
    assert_eq!(page.parent(items[1]), Some(list));
    assert_eq!(page.parent(page.root()), None);
    let tags: Vec<_> = page.ancestors(items[0]).map(|id| page.tag(id)).collect();
    assert_eq!(tags, [Some("ul"), Some("body"), Some("html"), None]);
    let below: Vec<_> = page.descendants(items[1]).map(|id| page.tag(id)).collect();
    assert_eq!(below, [None, Some("b"), None]);
    assert!(page.contains(list, items[1]) && page.contains(list, list) && !page.contains(items[1], list));
}

#[test]
fn attributes_are_found_by_lower_case_name() {
    let page = page("<a HREF='/x?a=1&amp;b' Data-Id=7 class=' one  two ' disabled href=second>t</a>");
    let link = page.elements("a").next().unwrap();
    assert_eq!(page.attr(link, "href"), Some("/x?a=1&b"));
    assert_eq!(page.attr(link, "data-id"), Some("7"));
    assert_eq!(page.attr(link, "disabled"), Some(""));
    assert_eq!(page.attr(link, "id"), None);
    assert_eq!(page.attrs(link).map(|(name, _)| name).collect::<Vec<_>>(), ["href", "data-id", "class", "disabled"]);
    assert!(page.has_class(link, "one") && page.has_class(link, "two") && !page.has_class(link, "tw"));
    assert_eq!(page.elements_with_attr("data-id").collect::<Vec<_>>(), [(link, "7")]);
}

#[test]
fn later_html_and_body_tags_add_what_is_missing() {
    let page = page("<html lang=de><body class=a>x<body class=b id=c><html lang=en dir=ltr>");
    let body = page.elements("body").next().unwrap();
    assert_eq!(page.attrs(body).collect::<Vec<_>>(), [("class", "a"), ("id", "c")]);
    assert_eq!(page.language(), Some("de"));
    assert_eq!(page.attr(page.elements("html").next().unwrap(), "dir"), Some("ltr"));
}

#[test]
fn elements_come_in_document_order_whatever_their_namespace() {
    let page = page("<a>1</a><svg><a>2</a></svg><a>3</a>");
    let texts: Vec<_> = page.elements("a").map(|id| page.text_of(id)).collect();
    assert_eq!(texts, ["1", "2", "3"]);
    assert_eq!(page.elements("nothing").count(), 0);
}

#[test]
fn a_page_tells_its_title_and_language() {
    let whole = page("<svg><title>no</title></svg><title> Tea &amp;\n cake </title><html lang=' pt-BR '>");
    assert_eq!(whole.title().as_deref(), Some("Tea & cake"));
    assert_eq!(whole.language(), Some("pt-BR"));
    let bare = page("<title> </title><meta http-equiv=Content-Language content=fr>");
    assert_eq!((bare.title(), bare.language()), (None, Some("fr")));
}

#[test]
fn relative_addresses_are_relative_to_the_base() {
    let options = ParseOptions::default().with_url("https://a.example/dir/page?q".parse().unwrap());
    let parse = |html| Page::from_html(html, &options).unwrap();
    let resolved = |page: &Page, href| page.resolve(href).map(String::from);
    let plain = parse("x");
    assert_eq!(resolved(&plain, " pic.jpg "), Some("https://a.example/dir/pic.jpg".into()));
    let based = parse("<base target=_top><base href=/other/><base href=/no/>");
    assert_eq!(resolved(&based, "pic.jpg"), Some("https://a.example/other/pic.jpg".into()));
    assert_eq!(based.url().unwrap().path(), "/dir/page");
    let strange = parse("<base href='mailto:a@b.example'>");
    assert_eq!(strange.base_url(), plain.base_url());
    let nowhere = page("x");
    assert_eq!(resolved(&nowhere, "pic.jpg"), None);
    assert_eq!(resolved(&nowhere, "https://b.example/"), Some("https://b.example/".into()));
}

#[test]
fn nodes_of_another_page_do_no_harm() {
    let (large, small) = (page("<p>a<p>b<p>c"), page("x"));
    for id in large.descendants(large.root()) {
        let _ = (small.tag(id), small.attr(id, "a"), small.text_of(id), small.parent(id), small.next_sibling(id));
        let _ =
            (small.hidden_range(id), small.is_hidden(id), small.children(id).count(), small.descendants(id).count());
        let _ = (small.visible_spans(id, 0..5).count(), small.raw_text(id), small.ancestors(id).count());
    }
    assert_eq!(small.node_by_index(1_000), None);
    assert_eq!(large.node_by_index(3).map(NodeId::index), Some(3));
}

#[test]
fn a_page_is_shared_between_threads() {
    let page = std::sync::Arc::new(page("<p>a<p>b"));
    let lengths = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| page.text().len())).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(lengths, [3; 4]);
}

#[test]
fn a_page_that_breaks_off_is_told_from_one_that_leaves_out_end_tags() {
    let cut = |html: &str| page(html).is_cut_short();
    for broken in [
        "<body><div><p>Stir until",
        "<ul><li>1 onion<li>2 ca",
        "<p>See <a href=\"https://exam",
        "<p>Stir</p></di",
        "<p>Stir<!-- not the end",
        "<script>let a = 1;",
    ] {
        assert!(cut(broken), "{broken}");
    }
    for whole in [
        "<p>Stir",
        "<body><p>Stir until done",
        "<table><tr><td>1<td>2</table>",
        "<ul><li>1 onion</ul>\n",
        "<p>1 < 2",
        "<dl><dt>Serves<dd>4</dl>bye",
        "plain words",
        "<div>done</div></body></html>\n\n",
    ] {
        assert!(!cut(whole), "{whole}");
    }
}

//! What holds for any page, however broken.

use atlas_engine::page::{NodeId, Page, ParseOptions};
use proptest::prelude::*;

/// Markup made of what parsers and layouts stumble over.
fn markup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<p>",
        "</p>",
        "<div>",
        "</div>",
        "<b>",
        "</b>",
        "<i>",
        "</i>",
        "<a href=x>",
        "</a>",
        "<table>",
        "</table>",
        "<tr>",
        "<td>",
        "</td>",
        "<ul>",
        "<li>",
        "</ul>",
        "<pre>",
        "</pre>",
        "<span hidden>",
        "</span>",
        "<span style=display:none>",
        "<br>",
        "<svg>",
        "</svg>",
        "<title>",
        "</title>",
        "<template>",
        "</template>",
        "<select>",
        "<option>",
        "</select>",
        "<script>",
        "</script>",
        "<!-- ",
        " -->",
        "<noscript>",
        "</noscript>",
        "<textarea>",
        "</textarea>",
        "<button>",
        "</button>",
        " ",
        "\n",
        "\t  ",
        "a",
        "b c",
        "é",
        "日本",
        "\u{a0}",
        "\u{ad}",
        "\u{200b}",
        "\u{e0041}",
        "&amp;",
        "&nbsp;",
        "&lt",
        "<",
        ">",
        "\"",
        "=",
        "\0",
        "\r",
        "𝒳",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn page(html: &str) -> Option<Page> {
    Page::from_html(html, &ParseOptions::default()).ok()
}

fn nodes(page: &Page) -> impl Iterator<Item = NodeId> {
    std::iter::once(page.root()).chain(page.descendants(page.root()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), charset in prop::option::of("[a-z0-9-]{0,12}")) {
        let mut options = ParseOptions::default();
        options.charset = charset;
        if let Ok(page) = Page::parse(&bytes, &options) {
            let _ = (page.text(), page.hidden_text(), page.title(), page.language());
        }
    }

    #[test]
    fn runs_and_separators_make_up_the_text(html in markup()) {
        let Some(page) = page(&html) else { return Ok(()) };
        let mut at = 0;
        for run in page.runs(0..page.text().len()) {
            let between = page.text().get(at..run.visible.start).unwrap();
            prop_assert!(between.chars().all(|c| matches!(c, ' ' | '\n' | '\t')), "{between:?} came from nowhere");
            let (seen, raw) = (&page.text()[run.visible.clone()], &page.raw_text(run.node).unwrap()[run.raw.clone()]);
            prop_assert_eq!(seen.len(), raw.len());
            for (seen, raw) in seen.chars().zip(raw.chars()) {
                prop_assert!(seen == raw || (seen == ' ' && raw.is_ascii_whitespace()));
            }
            for offset in run.visible.clone() {
                prop_assert_eq!(page.node_at(offset), Some(run.node));
            }
            prop_assert_eq!(page.visible_spans(run.node, run.raw.clone()).collect::<Vec<_>>(), vec![run.visible.clone()]);
            prop_assert!(!page.is_hidden(run.node));
            at = run.visible.end;
        }
        prop_assert_eq!(at, page.text().len());
    }

    #[test]
    fn ranges_nest_as_the_tree_does_and_follow_each_other(html in markup()) {
        let Some(page) = page(&html) else { return Ok(()) };
        for id in nodes(&page) {
            let range = page.text_range(id);
            prop_assert!(page.text().get(range.clone()).is_some(), "not at character boundaries");
            prop_assert_eq!(page.text_of(id).trim_ascii(), page.text_of(id));
            prop_assert!(page.hidden_text().get(page.hidden_range(id)).is_some());
            let mut end = 0;
            for child in page.children(id) {
                let inner = page.text_range(child);
                if !inner.is_empty() {
                    prop_assert!(range.start <= inner.start && inner.end <= range.end && end <= inner.start);
                    end = inner.end;
                }
            }
        }
    }

    #[test]
    fn the_tree_is_whole(html in markup()) {
        let Some(page) = page(&html) else { return Ok(()) };
        let mut order = Vec::new();
        let mut stack = vec![page.root()];
        while let Some(id) = stack.pop() {
            order.push(id);
            let children: Vec<NodeId> = page.children(id).collect();
            for pair in children.windows(2) {
                prop_assert_eq!(page.next_sibling(pair[0]), Some(pair[1]));
                prop_assert_eq!(page.prev_sibling(pair[1]), Some(pair[0]));
                prop_assert!(page.raw_text(pair[0]).is_none() || page.raw_text(pair[1]).is_none() || page.tag(pair[1]).is_some() || page.tag(pair[0]).is_some(), "two texts side by side");
            }
            for child in &children {
                prop_assert_eq!(page.parent(*child), Some(id));
                prop_assert!(page.contains(id, *child));
            }
            stack.extend(children.into_iter().rev());
        }
        prop_assert_eq!(order.len(), page.len());
        prop_assert!(order.is_sorted());
        let named: usize = ["p", "td", "b", "a", "li"].iter().map(|tag| page.elements(tag).count()).sum();
        let counted = nodes(&page).filter(|id| matches!(page.tag(*id), Some("p" | "td" | "b" | "a" | "li"))).count();
        prop_assert_eq!(named, counted);
    }

    #[test]
    fn visible_text_has_no_empty_lines_and_no_double_blanks(html in markup().prop_filter("kept white space", |html| !html.contains("<pre>"))) {
        let Some(page) = page(&html) else { return Ok(()) };
        for line in page.text().lines() {
            prop_assert_eq!(line.trim_ascii(), line);
            prop_assert!(!line.contains("  "));
        }
        prop_assert!(!page.text().contains("\n\n"));
    }

    #[test]
    fn how_the_bytes_are_cut_into_pieces_changes_nothing(html in markup(), fill in 16_300_usize..16_400) {
        // The page is fed in pieces of 16 KiB: put the same markup across the seam.
        let shifted = format!("<!--{}-->{html}", "x".repeat(fill));
        let (Some(one), Some(other)) = (page(&format!("<!-- -->{html}")), page(&shifted)) else { return Ok(()) };
        prop_assert_eq!(one.text(), other.text());
        prop_assert_eq!(one.len(), other.len());
    }
}

//! A page as the report shows it: its visible structure, rewritten from the tree, with the quotes marked.
//!
//! The page is hostile. Nothing of its markup is copied: known structural elements are written anew without attributes
//! (but spans of table cells, checked to be numbers), and all text is escaped. So no script, style, address, form or
//! event handler of the page reaches the report, whatever the page holds.

use crate::plain;
use atlas_engine::page::{NodeId, Page};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::ops::Range;

/// Elements kept, by name. Others show their content only.
const KEPT: &[&str] = &[
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "p",
    "div",
    "section",
    "article",
    "main",
    "aside",
    "header",
    "footer",
    "nav",
    "ul",
    "ol",
    "li",
    "dl",
    "dt",
    "dd",
    "table",
    "caption",
    "thead",
    "tbody",
    "tfoot",
    "tr",
    "td",
    "th",
    "blockquote",
    "pre",
    "code",
    "figure",
    "figcaption",
    "b",
    "strong",
    "i",
    "em",
    "u",
    "s",
    "small",
    "sub",
    "sup",
    "address",
];
/// Elements left out with all they hold: nothing in them is text for readers.
const DROPPED: &[&str] = &[
    "script", "style", "noscript", "template", "head", "iframe", "object", "embed", "svg", "math", "canvas", "audio",
    "video",
];

/// A quote to mark: its anchor in the report, and where it stands in the page's visible text.
#[derive(Debug)]
pub(crate) struct Quote {
    pub(crate) id: usize,
    pub(crate) spans: Vec<Range<usize>>,
}

/// The page with its quotes marked, and the ids of quotes that are in more than one piece.
pub(crate) fn render(page: &Page, quotes: &[Quote]) -> (String, BTreeSet<usize>) {
    let mut view =
        View { page, marks: HashMap::new(), seen: BTreeSet::new(), split: BTreeSet::new(), html: String::new() };
    for quote in quotes {
        for span in &quote.spans {
            for run in page.runs(span.clone()) {
                view.marks.entry(run.node).or_default().push((run.raw.clone(), quote.id));
            }
        }
    }
    view.all();
    (view.html, view.split)
}

enum Step {
    Enter(NodeId),
    Leave(&'static str),
}

struct View<'p> {
    page: &'p Page,
    marks: HashMap<NodeId, Vec<(Range<usize>, usize)>>,
    seen: BTreeSet<usize>,
    split: BTreeSet<usize>,
    html: String,
}

impl View<'_> {
    /// Walks without recursion: pages nest as deep as they like.
    fn all(&mut self) {
        let mut steps = vec![Step::Enter(self.page.root())];
        while let Some(step) = steps.pop() {
            match step {
                Step::Leave(end) => self.html.push_str(end),
                Step::Enter(node) => self.enter(node, &mut steps),
            }
        }
    }

    fn enter(&mut self, node: NodeId, steps: &mut Vec<Step>) {
        let page = self.page;
        if let Some(tag) = page.tag(node) {
            if DROPPED.contains(&tag) {
                return;
            }
            match tag {
                "br" => self.html.push_str("<br>"),
                "hr" => self.html.push_str("<hr>"),
                "img" => {
                    if let Some(alt) = page.attr(node, "alt").filter(|alt| !alt.trim().is_empty()) {
                        let _ = write!(self.html, "<span class=\"image\">[image: {}]</span>", plain::html(alt));
                    }
                }
                tag => steps.push(Step::Leave(self.open(node, tag))),
            }
        } else if let Some(text) = page.raw_text(node) {
            self.text(node, text);
            return;
        }
        let from = steps.len();
        steps.extend(page.children(node).map(Step::Enter));
        steps[from..].reverse();
    }

    /// Opens an element; gives what closes it.
    fn open(&mut self, node: NodeId, tag: &str) -> &'static str {
        let page = self.page;
        let hidden = page.is_hidden(node) && !page.parent(node).is_some_and(|parent| page.is_hidden(parent));
        if tag == "a" {
            self.html.push_str(if hidden { "<span class=\"unseen\">" } else { "<span class=\"link\">" });
            return "</span>";
        }
        let Some(at) = KEPT.iter().position(|kept| *kept == tag) else {
            if hidden {
                self.html.push_str("<span class=\"unseen\">");
            }
            return if hidden { "</span>" } else { "" };
        };
        // Hidden text is shown, greyed: what a page hides is often the most telling part of it.
        let _ = write!(self.html, "<{tag}{}", if hidden { " class=\"unseen\"" } else { "" });
        if tag == "td" || tag == "th" {
            for name in ["colspan", "rowspan"] {
                if let Some(span) = page.attr(node, name).and_then(|span| span.trim().parse::<u16>().ok()) {
                    let _ = write!(self.html, " {name}=\"{}\"", span.clamp(1, 1000));
                }
            }
        }
        self.html.push('>');
        CLOSED[at]
    }

    /// A text node, cut at the edges of the quotes in it; each piece is inside one mark per quote that covers it.
    fn text(&mut self, node: NodeId, text: &str) {
        let Some(marks) = self.marks.remove(&node) else {
            self.html.push_str(&plain::html(text));
            return;
        };
        let mut cuts: BTreeSet<usize> = [0, text.len()].into();
        cuts.extend(marks.iter().flat_map(|(range, _)| [range.start, range.end]));
        let cuts: Vec<usize> = cuts.into_iter().collect();
        for piece in cuts.windows(2) {
            let &[start, end] = piece else { continue };
            let Some(part) = text.get(start..end) else { continue };
            let covering: BTreeSet<usize> =
                marks.iter().filter(|(range, _)| range.start <= start && end <= range.end).map(|(_, id)| *id).collect();
            for id in &covering {
                if self.seen.insert(*id) {
                    let _ = write!(self.html, "<mark id=\"q{id}\" class=\"q{id}\">");
                } else {
                    self.split.insert(*id);
                    let _ = write!(self.html, "<mark class=\"q{id}\">");
                }
            }
            self.html.push_str(&plain::html(part));
            self.html.push_str(&"</mark>".repeat(covering.len()));
        }
    }
}

/// What closes each of [`KEPT`], in its order.
const CLOSED: &[&str] = &[
    "</h1>",
    "</h2>",
    "</h3>",
    "</h4>",
    "</h5>",
    "</h6>",
    "</p>",
    "</div>",
    "</section>",
    "</article>",
    "</main>",
    "</aside>",
    "</header>",
    "</footer>",
    "</nav>",
    "</ul>",
    "</ol>",
    "</li>",
    "</dl>",
    "</dt>",
    "</dd>",
    "</table>",
    "</caption>",
    "</thead>",
    "</tbody>",
    "</tfoot>",
    "</tr>",
    "</td>",
    "</th>",
    "</blockquote>",
    "</pre>",
    "</code>",
    "</figure>",
    "</figcaption>",
    "</b>",
    "</strong>",
    "</i>",
    "</em>",
    "</u>",
    "</s>",
    "</small>",
    "</sub>",
    "</sup>",
    "</address>",
];

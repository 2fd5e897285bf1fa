//! What an inline style does to the text below it: shown or not, in a line or in a block.
//!
//! Only the element's own `style` is read. Style sheets are not: a rule there may depend on the window, on scripts and on
//! other sheets. What counts as hidden is what leaves a reader nothing to see: no box, no ink, or a place off the page.

use super::names::Display;

/// How an element stands on the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) display: Display,
    pub(super) hidden: bool,
}

/// Pixels to the side from where on a box counts as put out of sight: wider than any screen is likely to scroll.
const OFF_PAGE: f64 = -900.0;

/// Applies the declarations of one `style` attribute.
pub(super) fn apply(style: &str, shown: &mut Shown) {
    let mut boxed = Boxed::default();
    for declaration in style.split(';') {
        let Some((property, value)) = declaration.split_once(':') else { continue };
        let value = value.trim();
        let value = value.rsplit_once('!').map_or(value, |(value, _)| value.trim_end());
        let is = |word: &str| value.eq_ignore_ascii_case(word);
        let mut lower = [0_u8; 24];
        match lower_case(property.trim(), &mut lower) {
            "display" => display(value, shown),
            "visibility" if is("hidden") || is("collapse") => shown.hidden = true,
            "opacity" | "font-size" if is_zero(value) => shown.hidden = true,
            "color" if is("transparent") => shown.hidden = true,
            "color" => boxed.ink = Some(value),
            "background" | "background-color" => boxed.ground = Some(value),
            "position" => boxed.placed = is("absolute") || is("fixed"),
            "left" | "right" | "top" | "bottom" => boxed.away |= is_off_page(value),
            "text-indent" if is_off_page(value) => shown.hidden = true,
            "clip" | "clip-path" => boxed.clipped |= clips_all(value),
            "overflow" => boxed.cut = is("hidden") || is("clip"),
            "width" | "height" => boxed.empty |= is_zero(value),
            "transform" if value.replace(' ', "").eq_ignore_ascii_case("scale(0)") => shown.hidden = true,
            _ => {}
        }
    }
    let inkless =
        boxed.ink.zip(boxed.ground).is_some_and(|(ink, ground)| color(ink).is_some() && color(ink) == color(ground));
    shown.hidden |= inkless || (boxed.placed && (boxed.away || boxed.clipped)) || (boxed.cut && boxed.empty);
}

/// What only together hides.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a declaration seen, and none excludes another")]
struct Boxed<'a> {
    placed: bool,
    away: bool,
    clipped: bool,
    cut: bool,
    empty: bool,
    ink: Option<&'a str>,
    ground: Option<&'a str>,
}

fn lower_case<'a>(name: &str, buffer: &'a mut [u8; 24]) -> &'a str {
    let Some(target) = buffer.get_mut(..name.len()) else { return "" };
    target.copy_from_slice(name.as_bytes());
    target.make_ascii_lowercase();
    std::str::from_utf8(target).unwrap_or("")
}

fn display(value: &str, shown: &mut Shown) {
    let block = ["block", "flex", "grid", "table", "list-item", "flow-root", "table-row"];
    if value.eq_ignore_ascii_case("none") {
        shown.hidden = true;
    } else if shown.display == Display::Inline && block.iter().any(|word| value.eq_ignore_ascii_case(word)) {
        shown.display = Display::Block;
    } else if shown.display == Display::Block && value.eq_ignore_ascii_case("inline") {
        shown.display = Display::Inline;
    } else if value.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("inline-"))
        && shown.display != Display::Code
    {
        shown.display = Display::Apart;
    } else if value.eq_ignore_ascii_case("table-cell") {
        shown.display = Display::Cell;
    }
}

/// The number that a CSS value starts with.
fn leading_number(value: &str) -> Option<f64> {
    let end = value.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+')).unwrap_or(value.len());
    value.get(..end)?.parse().ok()
}

fn is_zero(value: &str) -> bool {
    leading_number(value).is_some_and(|number| number == 0.0)
}

fn is_off_page(value: &str) -> bool {
    let em = value.ends_with("em");
    leading_number(value).is_some_and(|number| number * if em { 16.0 } else { 1.0 } <= OFF_PAGE)
}

/// `rect(0 0 0 0)`, `rect(1px, 1px, 1px, 1px)`, `inset(50%)` and the like.
fn clips_all(value: &str) -> bool {
    let Some((shape, arguments)) = value.split_once('(') else { return false };
    let mut numbers = arguments
        .split(|c: char| !matches!(c, '0'..='9' | '.'))
        .filter(|part| !part.is_empty())
        .filter_map(|part| part.parse::<f64>().ok());
    match shape.trim().to_ascii_lowercase().as_str() {
        "rect" => numbers.all(|number| number <= 1.0),
        "inset" => numbers.next().is_some_and(|number| number >= 50.0),
        "circle" => numbers.next().is_some_and(|number| number == 0.0),
        _ => false,
    }
}

/// A plain colour in one spelling: six hexadecimal digits.
fn color(value: &str) -> Option<String> {
    let value = value.to_ascii_lowercase();
    match value.as_str() {
        "white" => return Some("ffffff".to_owned()),
        "black" => return Some("000000".to_owned()),
        _ => {}
    }
    if let Some(arguments) = value.strip_prefix("rgb(") {
        let parts: Vec<u8> =
            arguments.trim_end_matches(')').split(',').filter_map(|part| part.trim().parse().ok()).collect();
        return match parts.as_slice() {
            [r, g, b] => Some(format!("{r:02x}{g:02x}{b:02x}")),
            _ => None,
        };
    }
    let digits = value.strip_prefix('#')?;
    match digits.len() {
        3 => Some(digits.chars().flat_map(|c| [c, c]).collect()),
        6 => Some(digits.to_owned()),
        _ => None,
    }
}

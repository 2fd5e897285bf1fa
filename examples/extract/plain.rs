//! Page text on its way to a terminal: hostile until proven otherwise.

use std::fmt::Write;

/// One line without control characters (a page could steer the terminal), bidirectional overrides or tabs.
pub(crate) fn line(text: &str) -> String {
    let kept = text.chars().map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c }).filter(|c| !steers(*c));
    kept.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same, at most `width` characters long.
pub(crate) fn short(text: &str, width: usize) -> String {
    let line = line(text);
    if line.chars().count() <= width {
        return line;
    }
    let mut cut: String = line.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Invisible characters that reorder or hide text.
const fn steers(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Text for HTML, between tags or in a quoted attribute.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || steers(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// `/0/rows/3/1` as a person writes it: `rows[3][1]`, with the record's number when there are several.
pub(crate) fn field(pointer: &str, records: usize) -> String {
    let mut parts = pointer.split('/').skip(1);
    let record = parts.next().unwrap_or_default();
    let mut name = if records > 1 { format!("{record}:") } else { String::new() };
    let own = name.len();
    for part in parts {
        let part = line(&part.replace("~1", "/").replace("~0", "~"));
        if part.bytes().all(|b| b.is_ascii_digit()) {
            let _ = write!(name, "[{part}]");
        } else {
            let dot = if name.len() > own { "." } else { "" };
            let _ = write!(name, "{dot}{part}");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_read_like_paths() {
        assert_eq!(field("/0/rows/3/1", 1), "rows[3][1]");
        assert_eq!(field("/2/offers/price", 3), "2:offers.price");
    }

    #[test]
    fn a_page_cannot_steer_the_terminal() {
        assert_eq!(line("a\u{1b}[31mred\r\n\tb\u{202e}c"), "a [31mred bc");
        assert_eq!(short("abcdef", 4), "abc…");
    }

    #[test]
    fn a_page_cannot_leave_its_place_in_the_report() {
        assert_eq!(html("<img onerror='x' a=\"b\">&"), "&lt;img onerror=&#39;x&#39; a=&quot;b&quot;&gt;&amp;");
    }
}

//! Web addresses.

use super::{Found, Locale};
use ::url::Url;

/// The text as an absolute `http` or `https` address.
///
/// The text is the whole address, as in an attribute; a relative one is resolved against the locale's base and refused if
/// there is none. Refused too: every other scheme, and text with blanks inside or with no characters at all.
pub fn parse(text: &str, locale: &Locale) -> Option<Found<Url>> {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.contains(char::is_whitespace) {
        return None;
    }
    let url = match locale.base() {
        Some(base) => base.join(trimmed).ok()?,
        None => Url::parse(trimmed).ok()?,
    };
    let start = text.len() - text.trim_start().len();
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    web.then_some(Found { value: url, range: start..start + trimmed.len() })
}

/// The largest picture of a `srcset` attribute: by width, else by pixel density, the first of equals.
///
/// Follows the HTML standard's grammar as far as choosing needs it; candidates that are no web address are passed over.
pub fn parse_srcset(text: &str, locale: &Locale) -> Option<Found<Url>> {
    let mut best: Option<(f64, Found<Url>)> = None;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let start = at + (rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',').len());
        let rest = text.get(start..).unwrap_or_default();
        let url_len = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let address = rest.get(..url_len).unwrap_or_default();
        let bare = address.trim_end_matches(',');
        // A comma right after the address ends the candidate; otherwise its size runs up to the next comma.
        let (size, end) = if bare.len() < address.len() {
            (1.0, start + url_len)
        } else {
            let tail = rest.get(url_len..).unwrap_or_default();
            let len = tail.find(',').unwrap_or(tail.len());
            (size(tail.get(..len).unwrap_or_default()), start + url_len + len)
        };
        if let Some(found) = parse(bare, locale)
            && best.as_ref().is_none_or(|(largest, _)| size > *largest)
        {
            best = Some((size, found.shifted(start)));
        }
        at = end.max(at + 1);
        while !text.is_char_boundary(at) {
            at += 1;
        }
    }
    best.map(|(_, found)| found)
}

/// `640w`, `2x`, nothing (one). Sizes are only compared, never shown, so a float does.
fn size(descriptor: &str) -> f64 {
    let number = descriptor.trim().trim_end_matches(['w', 'x', 'h']);
    number.parse().ok().filter(|size: &f64| size.is_finite()).unwrap_or(1.0)
}

impl Found<Url> {
    fn shifted(self, by: usize) -> Self {
        Self { range: self.range.start + by..self.range.end + by, value: self.value }
    }
}

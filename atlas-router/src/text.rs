//! Lists in messages.

use std::fmt::{Display, Write as _};

/// Each item on a line of its own, indented.
pub(crate) fn lines<T: Display>(items: &[T]) -> String {
    items.iter().fold(String::new(), |mut text, item| {
        // Writing to a text can't fail.
        let _ = write!(text, "\n  {item}");
        text
    })
}

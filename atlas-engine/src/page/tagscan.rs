//! Bounds how many attributes the tag has that a tokenizer is in the middle of.
//!
//! Where the tag began is not known, only that it began somewhere in the bytes scanned. So every `<` that may open one
//! starts a machine, all machines run at once, and of those in the same state only the one with most attributes is kept:
//! the true tag is among them, hence the largest count is never too low. It is hardly ever too high either, because an
//! unquoted `>` ends a machine.

/// Where a machine is within its tag, after the WHATWG's tokenizer states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    TagName,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    DoubleQuoted,
    SingleQuoted,
    Unquoted,
}

const STATES: [State; 8] = [
    State::TagName,
    State::BeforeName,
    State::Name,
    State::AfterName,
    State::BeforeValue,
    State::DoubleQuoted,
    State::SingleQuoted,
    State::Unquoted,
];

impl State {
    /// The state after `byte`, and whether an attribute begins with it; `None` when the tag ends.
    const fn step(self, byte: u8) -> Option<(Self, bool)> {
        let quoted = matches!(self, Self::DoubleQuoted | Self::SingleQuoted);
        let next = match (self, byte) {
            (_, b'>') if !quoted => return None,
            (Self::DoubleQuoted, b'"')
            | (Self::SingleQuoted, b'\'')
            | (Self::TagName | Self::BeforeName | Self::Name | Self::AfterName, b'/') => Self::BeforeName,
            (Self::TagName | Self::Unquoted, _) if byte.is_ascii_whitespace() => Self::BeforeName,
            (Self::Name, _) if byte.is_ascii_whitespace() => Self::AfterName,
            (Self::Name | Self::AfterName, b'=') => Self::BeforeValue,
            (Self::BeforeValue, b'"') => Self::DoubleQuoted,
            (Self::BeforeValue, b'\'') => Self::SingleQuoted,
            (Self::BeforeName | Self::AfterName | Self::BeforeValue, _) if byte.is_ascii_whitespace() => self,
            (Self::BeforeValue, _) => Self::Unquoted,
            (Self::BeforeName | Self::AfterName, _) => return Some((Self::Name, true)),
            _ => self,
        };
        Some((next, false))
    }
}

/// All machines at once: for each state the most attributes of a machine in it.
#[derive(Debug, Clone, Default)]
pub(super) struct TagScan {
    most: [Option<usize>; 8],
    after_bracket: bool,
}

impl TagScan {
    /// Goes on with more bytes of the page.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let mut next = [None; 8];
            for (state, count) in STATES.iter().zip(self.most) {
                let Some(count) = count else { continue };
                if let Some((to, begins)) = state.step(*byte)
                    && let Some(slot) = next.get_mut(to as usize)
                {
                    *slot = (*slot).max(Some(count + usize::from(begins)));
                }
            }
            if self.after_bracket && (byte.is_ascii_alphabetic() || *byte == b'/') && next[0].is_none() {
                next[0] = Some(0);
            }
            self.after_bracket = *byte == b'<';
            self.most = next;
        }
    }

    /// The tag being read has no more attributes than this.
    pub(super) fn most_attributes(&self) -> usize {
        self.most.iter().flatten().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(text: &str) -> usize {
        let mut scan = TagScan::default();
        scan.feed(text.as_bytes());
        scan.most_attributes()
    }

    #[test]
    fn counts_the_attributes_of_an_open_tag() {
        assert_eq!(most("text <p a b=1 c='2' d=\"3\"e f/g"), 7);
        assert_eq!(most("<p a"), 1);
    }

    #[test]
    fn an_unquoted_bracket_ends_a_tag_and_a_quoted_one_does_not() {
        assert_eq!(most("<p a b c>"), 0);
        assert_eq!(most("<p a b='>' c"), 3);
    }

    #[test]
    fn blanks_within_a_value_are_not_attributes() {
        assert_eq!(most("<p a=\"one two three four"), 1);
    }
}

//! What was repaired or coerced, and where: so that no leniency is silent.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};

/// At most so many are listed, and so many bytes of pointers; the rest is counted.
const MOST_LISTED: usize = 256;
const MOST_POINTER_BYTES: usize = 64 * 1024;

/// What was done to the words of a reply to get a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepairKind {
    /// A fence of Markdown around it was taken off.
    Fence,
    /// Words around it were left out.
    Prose,
    /// Other documents in the reply were left out, since they did not fit the schema.
    OneOfSeveral,
    /// The reply ended in the middle: what was open there was closed, and what had only begun was left out.
    Truncated,
    /// A comment was left out.
    Comment,
    /// A comma before a closing bracket was left out.
    TrailingComma,
    /// A comma was put in between two lines.
    MissingComma,
    /// A text was in single quotes.
    SingleQuotes,
    /// A text was in typographic quotes.
    SmartQuotes,
    /// A key had no quotes.
    UnquotedKey,
    /// `True`, `None` and the like stood for `true`, `null` and the like.
    Literal,
    /// A number was written in a way that JSON does not know, such as `+1`, `.5` or `5.`.
    NumberForm,
    /// A text held a raw line break or another control character.
    ControlCharacter,
    /// A backslash that begins no escape was kept as it stood.
    BadEscape,
    /// A space that JSON does not know was left out.
    OddSpace,
    /// A key stood twice in an object: the last one was taken.
    DuplicateKey,
    /// A text became the number that it spells.
    TextAsNumber,
    /// A whole number became the text that spells it.
    NumberAsText,
    /// `"true"` or `"false"` became the truth value.
    TextAsBoolean,
    /// `"null"` or `"None"` became null.
    TextAsNull,
    /// A text became the only listed value that differs from it in case or outer spaces alone.
    EnumCase,
    /// An optional property was absent where the schema that was sent wants null for that.
    AbsentAsNull,
}

/// One repair. `Debug` shows how long its place is, never the place: its keys may be the model's own words, as values are.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Repair {
    /// Where in the value, as a JSON Pointer with the keys as they are there; empty for the whole.
    pub pointer: String,
    /// What was done.
    pub kind: RepairKind,
}

impl fmt::Debug for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(at {} bytes)", self.kind, self.pointer.len())
    }
}

/// All repairs of one value, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Repairs {
    /// The first of them: at most 256, with at most 64 KiB of pointers.
    pub listed: Vec<Repair>,
    /// How many more there were.
    pub unlisted: usize,
    /// Whether the reply ended in the middle: so that this is known however much else was repaired.
    pub is_truncated: bool,
}

impl Repairs {
    /// Whether the value stands in the reply just so.
    pub const fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.unlisted == 0
    }

    /// Whether there is one of that kind among those that are listed.
    pub fn has(&self, kind: RepairKind) -> bool {
        self.listed.iter().any(|repair| repair.kind == kind)
    }

    /// Notes that the reply was cut off behind what was read.
    pub(crate) fn cut(&mut self) {
        if !self.is_truncated {
            self.note(RepairKind::Truncated, &[]);
        }
    }

    pub(super) fn note(&mut self, kind: RepairKind, path: &[Step]) {
        self.is_truncated |= kind == RepairKind::Truncated;
        let used: usize = self.listed.iter().map(|repair| repair.pointer.len()).sum();
        let size: usize = path.iter().map(Step::size).sum();
        if self.listed.len() >= MOST_LISTED || used.saturating_add(size) > MOST_POINTER_BYTES {
            self.unlisted = self.unlisted.saturating_add(1);
            return;
        }
        self.listed.push(Repair { pointer: pointer(path), kind });
    }
}

/// One step of the way into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    At(usize),
}

impl Step {
    fn size(&self) -> usize {
        match self {
            Self::Key(key) => key.len() + 1,
            Self::At(_) => 8,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(&key.replace('~', "~0").replace('/', "~1")),
            Self::At(at) => write!(f, "{at}"),
        }
    }
}

fn pointer(path: &[Step]) -> String {
    path.iter().fold(String::new(), |mut pointer, step| {
        // Writing to a text can't fail.
        let _ = write!(pointer, "/{step}");
        pointer
    })
}

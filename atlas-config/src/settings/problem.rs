//! What is wrong with settings: every fault at once, none with a value in it.

use super::field::Rule;
use atlas_schema::Stage;
use std::fmt;

/// All faults of the given settings, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    pub(super) problems: Vec<Problem>,
}

impl SettingsError {
    /// The faults; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for SettingsError {
    /// A heading and one line per fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "{count} fault{} in the settings:", if count == 1 { "" } else { "s" })?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for SettingsError {}

/// One fault of one setting. Never holds a value, only names and rules.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The setting's name as it was given; for a contradiction the first of the settings.
    pub name: String,
    /// What is wrong.
    pub kind: ProblemKind,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.kind)
    }
}

/// The kinds of faults.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// No setting has this name.
    Unknown {
        /// The nearest name that exists, if one is near.
        suggestion: Option<&'static str>,
    },
    /// The value is not UTF-8.
    NotUtf8,
    /// The value holds a control character, such as a line break or NUL.
    ControlCharacter,
    /// The value is longer than any value may be.
    TooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// The value is empty; leave the setting out to get its preset.
    Empty,
    /// The value breaks the setting's rule.
    Invalid {
        /// What it must be.
        expected: Rule,
    },
    /// The value has a type that a setting cannot have (in a file).
    WrongType,
    /// The setting is needed in this stage.
    Missing {
        /// The stage.
        stage: Stage,
    },
    /// Two names of one setting have different values.
    Disagreement {
        /// The other name.
        with: &'static str,
    },
    /// Settings that cannot hold together.
    Contradiction {
        /// What must hold instead.
        rule: &'static str,
    },
    /// The settings file cannot be parsed.
    Syntax {
        /// The line, counted from 1.
        line: usize,
    },
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { suggestion: Some(name) } => write!(f, "unknown setting; did you mean {name}?"),
            Self::Unknown { suggestion: None } => {
                f.write_str("unknown setting; remove it, or tell the loader to ignore it if it is another program's")
            }
            Self::NotUtf8 => f.write_str("the value is not UTF-8"),
            Self::ControlCharacter => f.write_str("the value holds a control character, such as a line break"),
            Self::TooLong { max } => write!(f, "the value is longer than {max} bytes"),
            Self::Empty => f.write_str("the value is empty; remove the setting to get its preset"),
            Self::Invalid { expected } => write!(f, "must be {expected}"),
            Self::WrongType => f.write_str("must be a string, a whole number or a boolean"),
            Self::Missing { stage } => write!(f, "must be given in stage {stage}"),
            Self::Disagreement { with } => write!(f, "differs from {with}, which is the same setting; remove one"),
            Self::Contradiction { rule } => f.write_str(rule),
            Self::Syntax { line } => write!(f, "syntax error in line {line}"),
        }
    }
}

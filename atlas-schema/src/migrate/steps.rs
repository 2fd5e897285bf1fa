//! Steps between versions of the canonical format: each lifts a record by one version, the chain lifts it to the newest.

use serde_json::{Map, Value};

/// A version number `major.minor.patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Reads `1.0.0`: three numbers without signs, blanks or leading zeros.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            let canonical = part == "0" || !part.starts_with('0');
            if digits && canonical { part.parse::<u32>().ok() } else { None }
        };
        let mut parts = text.split('.');
        let version = Self(number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
        parts.next().is_none().then_some(version)
    }
}

/// One step: from a version to the next.
///
/// `apply` is pure and total on valid records of `from`; its result is a valid record of `to`, its `schemaVersion`
/// included.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The version it takes.
    pub from: Version,
    /// The version it gives.
    pub to: Version,
    /// The change.
    pub apply: fn(Map<String, Value>) -> Map<String, Value>,
}

/// The steps up to the newest version, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a> {
    newest: Version,
    steps: &'a [Step],
}

/// Steps that do not make a chain: each must start where the one before it ended, rise, and the last must end at the
/// newest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the steps leave a gap at step {index}: let each start where the one before ends, and the last at the newest")]
pub struct Gap {
    /// Which step, from 0; the number of steps if the last one ends short.
    pub index: usize,
}

/// A version that no chain leads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPath {
    /// Newer than the newest known.
    #[error("the version is newer than this release knows: upgrade")]
    Future,
    /// No step starts there.
    #[error("no release has written this version")]
    Unknown,
}

/// The chain of this release: 1.0.0 is the newest and the only version.
pub const CHAIN: Chain<'static> = Chain { newest: Version(1, 0, 0), steps: &[] };

impl<'a> Chain<'a> {
    /// A chain that ends at `newest`.
    ///
    /// # Errors
    /// [`Gap`] names the first step that does not fit.
    pub fn new(newest: Version, steps: &'a [Step]) -> Result<Self, Gap> {
        let mut at = steps.first().map_or(newest, |step| step.from);
        for (index, step) in steps.iter().enumerate() {
            if step.from != at || step.to <= step.from {
                return Err(Gap { index });
            }
            at = step.to;
        }
        if at == newest { Ok(Self { newest, steps }) } else { Err(Gap { index: steps.len() }) }
    }

    /// The steps to take from `version`; none if it is the newest.
    ///
    /// # Errors
    /// [`NoPath`] for a version newer than the newest or between two steps.
    pub fn path(&self, version: Version) -> Result<&'a [Step], NoPath> {
        if version == self.newest {
            return Ok(&[]);
        }
        if version > self.newest {
            return Err(NoPath::Future);
        }
        let start = self.steps.iter().position(|step| step.from == version).ok_or(NoPath::Unknown)?;
        Ok(&self.steps[start..])
    }

    /// Lifts a record of `version` to the newest.
    ///
    /// # Errors
    /// As [`path`](Self::path); the record is then dropped unchanged, so keep its bytes.
    pub fn lift(&self, version: Version, record: Map<String, Value>) -> Result<Map<String, Value>, NoPath> {
        Ok(self.path(version)?.iter().fold(record, |record, step| (step.apply)(record)))
    }
}

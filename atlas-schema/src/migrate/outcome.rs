//! What a migration gives: a job, or the original with a reason.

use super::note::Note;
use super::original::{self, Original};
use super::shape::Shape;
use super::side::SideRecord;
use crate::extraction::ExtractionJob;
use crate::id::ExternalId;
use crate::pointer::JsonPointer;
use crate::version::SchemaVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What became of one record. There is no third way: every input gives one of the two.
#[derive(Debug, Clone, PartialEq)]
pub enum Migration {
    /// It is a job now.
    Migrated(Box<Migrated>),
    /// It is not a job; a person or a later release decides.
    Quarantined(Box<Quarantined>),
}

impl Migration {
    /// The job and what came with it, unless the record was quarantined.
    pub fn migrated(&self) -> Option<&Migrated> {
        match self {
            Self::Migrated(migrated) => Some(migrated),
            Self::Quarantined(_) => None,
        }
    }

    /// The quarantined original, unless the record became a job.
    pub fn quarantined(&self) -> Option<&Quarantined> {
        match self {
            Self::Migrated(_) => None,
            Self::Quarantined(quarantined) => Some(quarantined),
        }
    }
}

/// A legacy record that became a job.
///
/// Pointers in `notes`, `side` and `removed_secrets` point into the legacy record as it reads with its `DynamoDB` types taken
/// off and its JSON texts opened: `/params/maxPages` also where `params` was a string holding JSON.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Migrated {
    /// The job. Its JSON passes the strict reading rules: see [`read`](crate::read).
    pub job: ExtractionJob,
    /// Which writer's record it was.
    pub shape: Shape,
    /// The version the record itself claimed, if any.
    pub from_version: Option<String>,
    /// Each change of a value, in no meaningful order. Empty for a canonical record.
    pub notes: Vec<Note>,
    /// What the job has no home for. Store it beside the job.
    pub side: Option<SideRecord>,
    /// Where secrets were. They are in none of the other fields.
    pub removed_secrets: Vec<JsonPointer>,
}

/// A record that could not become a job. Migrating `original` gives the same reason again.
///
/// It is a record of its own, with a published schema, so that it can be kept beside the jobs and read in another year.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Quarantined {
    /// The format of this record.
    pub schema_version: SchemaVersion,
    /// Why.
    pub reason: QuarantineReason,
    /// The record: byte for byte as given, unless secrets were found; then JSON of the record with null in
    /// their places, with `DynamoDB` types taken off. In JSON text if it is UTF-8, else hex digits.
    #[serde(with = "original")]
    #[schemars(with = "Original<'_>")]
    pub original: Vec<u8>,
    /// Whether `original` may be stored and shown like any record.
    pub secrets: Secrets,
    /// What was noted until then.
    pub notes: Vec<Note>,
}

/// Without the original, which may hold secrets and page text.
impl fmt::Debug for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantined")
            .field("reason", &self.reason)
            .field("original", &format_args!("{} bytes", self.original.len()))
            .field("secrets", &self.secrets)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

/// What is known about secrets in the original of a quarantined record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", content = "at", rename_all = "snake_case", deny_unknown_fields)]
pub enum Secrets {
    /// All of it was searched and none was found.
    NoneFound,
    /// They stood here and were removed.
    Removed(Vec<JsonPointer>),
    /// It could not be searched, because it does not parse or is of an unknown version: treat all of it as a secret.
    Unchecked,
}

/// Why a record is quarantined. In JSON an object whose `reason` is the [`code`](Self::code).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum QuarantineReason {
    /// The bytes are not JSON text.
    #[error("the record is not JSON: restore it from its source")]
    NotJson,
    /// The JSON is an array or a single value.
    #[error("the record is not a JSON object: hand in one record at a time")]
    NotAnObject,
    /// An object has a key twice, so that readers disagree about its value.
    #[error("an object has the same key twice: keep the right one")]
    DuplicateKey,
    /// More bytes than records may have.
    #[error("the record is larger than 64 MiB: split it")]
    TooLarge,
    /// Nested deeper than records may be, its JSON texts counted in.
    #[error("the record is nested too deep, more than 120 levels with its texts opened: flatten it")]
    TooDeep,
    /// A number that would not survive reading and writing.
    #[error("a number cannot be kept exactly: store it as text")]
    NumberOutOfRange,
    /// A key so long that no JSON Pointer of 1024 characters reaches it.
    #[error("a key is too long to be pointed at: shorten it")]
    KeyTooLong,
    /// An item of a `DynamoDB` export whose types do not fit its values.
    #[error("the item at `{pointer}` does not fit its DynamoDB type: export it again")]
    MalformedItem {
        /// Which attribute.
        pointer: JsonPointer,
    },
    /// Fields of two formats contradict each other and no rule decides.
    #[error("the record reads as two versions: remove the wrong one of its contradicting fields")]
    AmbiguousVersion {
        /// The fields that contradict each other.
        fields: Vec<JsonPointer>,
    },
    /// A format newer than this release. The original is untouched.
    #[error("the record is of a newer format: upgrade before reading it")]
    FutureVersion,
    /// A version tag that no release has written. The original is untouched.
    #[error("the record has an unknown version tag: correct `schemaVersion`")]
    UnknownVersion,
    /// A page or sub-task of another job.
    #[error("the record is part of job {parent}: attach it to that job")]
    Orphan {
        /// The job it is part of.
        parent: ExternalId,
    },
    /// No id.
    #[error("the record has no id: give it one")]
    NoId,
    /// An id that is not 1 to 128 of `[a-zA-Z0-9_-]`.
    #[error("the id is not 1 to 128 letters, digits, `_` or `-`: correct it")]
    InvalidId,
    /// No address of a page.
    #[error("the record names no page: add its `url`")]
    NoUrl,
    /// An address that is none.
    #[error("the `url` is not an absolute address of at most 2048 characters: correct it")]
    InvalidUrl,
    /// An address of another scheme than http or https.
    #[error("the `url` is neither http nor https: correct it")]
    UnsupportedScheme,
    /// Nothing says what to extract.
    #[error("the record does not say what to extract: add `extractionInstructions`")]
    NoInstructions,
    /// More instructions than a job may carry: cutting them would change the work.
    #[error("the instructions have more than 10000 characters: shorten them")]
    InstructionsTooLong,
    /// No status.
    #[error("the record has no status: add `status`")]
    NoStatus,
    /// A status no writer used.
    #[error("the status is unknown: correct `status`")]
    UnknownStatus,
    /// A type no writer used.
    #[error("the type is unknown: correct `type`")]
    UnknownType,
    /// Nothing says when it was made, and a guess would be a lie.
    #[error("the record has no time: add `createdAt`")]
    NoTime,
    /// `params` is not an object.
    #[error("the `params` are not a JSON object: correct them")]
    InvalidParams,
    /// The result's JSON text was cut off.
    #[error("the JSON text of `result` was cut off: restore it or delete it")]
    TruncatedResult,
    /// A result that is neither an object nor a list.
    #[error("the `result` is neither an object nor a list: correct it")]
    InvalidResult,
    /// The job made of it breaks a rule of the current format.
    #[error("the job made of the record breaks the current format")]
    InvalidJob {
        /// Where in the job.
        fields: Vec<JsonPointer>,
    },
}

impl QuarantineReason {
    /// A stable snake-case name, such as `no_url`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::DuplicateKey => "duplicate_key",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::NumberOutOfRange => "number_out_of_range",
            Self::KeyTooLong => "key_too_long",
            Self::MalformedItem { .. } => "malformed_item",
            Self::AmbiguousVersion { .. } => "ambiguous_version",
            Self::FutureVersion => "future_version",
            Self::UnknownVersion => "unknown_version",
            Self::Orphan { .. } => "orphan",
            Self::NoId => "no_id",
            Self::InvalidId => "invalid_id",
            Self::NoUrl => "no_url",
            Self::InvalidUrl => "invalid_url",
            Self::UnsupportedScheme => "unsupported_scheme",
            Self::NoInstructions => "no_instructions",
            Self::InstructionsTooLong => "instructions_too_long",
            Self::NoStatus => "no_status",
            Self::UnknownStatus => "unknown_status",
            Self::UnknownType => "unknown_type",
            Self::NoTime => "no_time",
            Self::InvalidParams => "invalid_params",
            Self::TruncatedResult => "truncated_result",
            Self::InvalidResult => "invalid_result",
            Self::InvalidJob { .. } => "invalid_job",
        }
    }
}

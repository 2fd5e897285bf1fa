//! Notes: each change that migration makes to a value, so that none is silent.

use crate::pointer::JsonPointer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One change of one value. It names the place and the rule, never the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Note {
    /// Which rule.
    pub code: NoteCode,
    /// Where in the legacy record; for what was absent, where it would have been.
    pub pointer: JsonPointer,
}

/// The rules that change a value. Where a rule loses something, the original value is in the side record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoteCode {
    /// `DynamoDB` types were taken off.
    ItemUnmarshalled,
    /// A string held JSON and was read as such.
    TextParsed,
    /// The id was made of `jobId`.
    IdFromJobId,
    /// A legacy type became sync, async or ai-process.
    TypeMapped,
    /// A legacy status became one of the six.
    StatusMapped,
    /// Queue messages have no status: it is pending.
    StatusAssumed,
    /// Completed by name, but the result says failed or timed out.
    StatusFromResult,
    /// The address came from `params.url`.
    UrlFromParams,
    /// The address came from the prompt.
    UrlFromPrompt,
    /// A bare host name in the prompt got `https://`.
    SchemeAssumed,
    /// The address was respelt: blanks, letters beyond ASCII.
    UrlNormalised,
    /// The instructions came from another field than `extractionInstructions`.
    InstructionsMoved,
    /// The writer took no instructions: the operation it was called for stands in for them.
    InstructionsFromType,
    /// Two places give different values; the one pointed at lost.
    Conflict,
    /// The value says what another field says already.
    Redundant,
    /// Absent: the default of the format was taken.
    Defaulted,
    /// A number outside its range was moved to the nearest end.
    Clamped,
    /// A text of digits became a number, or `"true"` a boolean.
    FromText,
    /// A timeout in seconds became milliseconds.
    SecondsToMillis,
    /// A value of a kind its field does not take went to the side record.
    Unreadable,
    /// A time written as text became milliseconds.
    TimeFromText,
    /// A time without an offset was read as UTC.
    UtcAssumed,
    /// The creation time is the one inside the id.
    TimeFromId,
    /// The update time was absent and is the creation time, or another field's.
    UpdatedFromOther,
    /// The update time was before the creation time and was raised to it.
    UpdatedRaised,
    /// Null data became an empty list.
    DataEmptied,
    /// Data that is not a list became the one element of one.
    DataWrapped,
    /// The data of an unfinished job came from `partialResults`.
    DataFromPartial,
    /// The result has no success flag: it follows from status and data.
    SuccessDerived,
    /// Success was claimed without data or for a job that did not complete.
    SuccessRefused,
    /// Completed without a result: the result says so.
    ResultMissing,
    /// The writer cut the result down.
    ResultTruncated,
    /// An error object became its message.
    ErrorReduced,
    /// The error came from the result.
    ErrorFromResult,
    /// The error of a completed job went to its result.
    ErrorToResult,
    /// Failed without a recorded error: the error says so.
    ErrorMissing,
    /// A text over its limit was cut; all of it is in the side record.
    TextCut,
    /// A number of dollars became an exact amount.
    MoneyFromNumber,
    /// An amount of money was rounded up to a whole nano-dollar.
    MoneyRounded,
    /// A log entry was converted.
    LogConverted,
    /// A log entry without a time or a message went to the side record.
    LogUnreadable,
    /// The record has no (valid) correlation id: one was made of the job's id.
    CorrelationDerived,
}

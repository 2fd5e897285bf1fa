//! Evidence: where a value was seen. No quote on the page, no value.

use crate::pointer::JsonPointer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One sighting of a value. A value may have several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// What sort of text the quote was taken from.
    pub source: Source,
    /// Which document: an index into the result's `pages`.
    #[schemars(range(max = 65_535))]
    pub document: u32,
    /// The node that holds the quote: its number in the page's document order. Absent for documents without nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4_294_967_295_u64))]
    pub node: Option<u32>,
    /// Where in the source text the quote stands; several spans when the quote is not in one piece.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Span>,
    /// The text found there, character for character; several spans are joined by one blank.
    #[schemars(length(max = 20_000))]
    pub quote: String,
    /// What turned the quote into the value, such as `money` or `duration`; absent when it is the quote itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[a-z0-9_.-]+$"))]
    pub transform: Option<String>,
    /// What was checked, by code, after the value was made.
    pub verified: Verified,
}

/// What a check of the quote found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verified {
    /// The quote stands at its spans in its source, and normalises to the value.
    pub source: bool,
    /// The value also stands in the page's visible text.
    pub visible: bool,
}

/// What sort of text a quote was taken from. It says what the spans of an [`Evidence`] count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Source {
    /// Text a reader of the page sees. Spans count bytes of the page's visible text.
    VisibleText {},
    /// Text in the page that no reader sees, so less to be trusted. Spans count bytes of the page's hidden text.
    HiddenText {},
    /// An attribute of the node. Spans count bytes of its value.
    Attribute {
        /// The attribute's name, lower case.
        #[schemars(length(min = 1, max = 128))]
        name: String,
    },
    /// Data embedded in the page, such as JSON-LD. Spans count bytes of the text at `pointer`, or of the node's text.
    Embedded {
        /// The syntax, such as `json-ld`.
        #[schemars(length(min = 1, max = 32))]
        syntax: String,
        /// Where in the embedded document.
        pointer: JsonPointer,
    },
    /// The address of the page. Spans count bytes of it.
    Url {},
    /// Computed from other values of the same result.
    Derived {
        /// Pointers of the values it was computed from.
        inputs: Vec<JsonPointer>,
    },
}

/// Bytes `start..end` of a source text, both at character boundaries, `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Span {
    /// First byte.
    #[schemars(range(max = 4_294_967_295_u64))]
    pub start: u32,
    /// One past the last byte.
    #[schemars(range(max = 4_294_967_295_u64))]
    pub end: u32,
}

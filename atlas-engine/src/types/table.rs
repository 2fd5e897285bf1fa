//! Tables.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A data table: one record for each table of the page.
///
/// Spans are repeated into every cell they cover, so every row has as many cells as the header. Titles and notes over the
/// full width, columns without text and footnote marks are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-atlas" = { "kind": "table" }))]
pub struct Table {
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// The column heads; several header rows are joined by a blank. Empty if the table has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header: Vec<String>,
    /// The cells, row by row.
    pub rows: Vec<Vec<String>>,
}

//! The file as it is written: every field may be absent or of the wrong type, so that all faults can be told at once.

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) sources: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) tiers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) fallbacks: BTreeMap<String, Vec<String>>,
    /// Models of the catalogue below that are taken out.
    #[serde(default)]
    pub(super) remove: Vec<String>,
    #[serde(default, rename = "model")]
    pub(super) models: Vec<RawModel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModel {
    pub(super) id: Option<Value>,
    pub(super) provider: Option<Value>,
    pub(super) family: Option<Value>,
    pub(super) encoding: Option<Value>,
    pub(super) encoding_margin: Option<Value>,
    pub(super) around: Option<RawAround>,
    pub(super) max_input: Option<Value>,
    pub(super) max_output: Option<Value>,
    #[serde(default)]
    pub(super) efforts: Vec<String>,
    pub(super) default_effort: Option<Value>,
    pub(super) structured: Option<Value>,
    pub(super) price: Option<RawPrice>,
    pub(super) long: Option<RawLong>,
    #[serde(default)]
    pub(super) service_tiers: BTreeMap<String, Value>,
    pub(super) regional: Option<Value>,
    pub(super) web_search: Option<Value>,
    pub(super) shutdown: Option<Value>,
    pub(super) successor: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPrice {
    pub(super) input: Option<Value>,
    pub(super) cached: Option<Value>,
    pub(super) cache_write: Option<Value>,
    pub(super) cache_write_long: Option<Value>,
    pub(super) output: Option<Value>,
    pub(super) source: Option<Value>,
    pub(super) day: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLong {
    pub(super) above: Option<Value>,
    pub(super) input: Option<Value>,
    pub(super) output: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAround {
    pub(super) prompt: Option<Value>,
    pub(super) message: Option<Value>,
}

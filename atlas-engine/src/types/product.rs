//! Products.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A product as a shop offers it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Product {
    /// What it is called.
    pub name: String,
    /// Its price, in units of the currency. Of a range the lower end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-atlas" = { "kind": "amount" }))]
    pub price: Option<f64>,
    /// The price's currency (ISO 4217), such as `EUR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-atlas" = { "kind": "currency" }))]
    pub currency: Option<String>,
    /// Whether it can be had, as schema.org names it: `InStock`, `OutOfStock`, `PreOrder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-atlas" = { "kind": "availability" }))]
    pub availability: Option<String>,
    /// Its condition, as schema.org names it: `NewCondition`, `UsedCondition`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-atlas" = { "kind": "term" }))]
    pub condition: Option<String>,
    /// Its brand or maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The shop's number for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Its global number (EAN, UPC, ISBN-13).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtin: Option<String>,
    /// What it is, in a few sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Addresses of its pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(url))]
    pub images: Vec<String>,
    /// Its kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<String>,
    /// The average rating, as the shop counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<f64>,
    /// How many reviewed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_count: Option<u64>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "uri"))]
    pub url: Option<String>,
}

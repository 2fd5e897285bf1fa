//! Recipes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A recipe.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Recipe {
    /// What it is called.
    pub title: String,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What goes in, one line each, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingredients: Vec<String>,
    /// What to do, one step each, in order; the names of sections and steps stand as entries of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instructions: Vec<String>,
    /// From start to table, in minutes; the sum of preparation and cooking where the page gives only those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_time: Option<u32>,
    /// Preparation, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prep_time: Option<u32>,
    /// Cooking or baking, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cook_time: Option<u32>,
    /// How much it makes, such as `4 servings` or `24 cookies`; of a range the upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-atlas" = { "kind": "servings" }))]
    pub yields: Option<String>,
    /// Nutrition facts by their schema.org names, such as `calories` or `fatContent`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nutrients: BTreeMap<String, String>,
    /// The average rating, as the page counts (mostly of 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<f64>,
    /// How many rated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating_count: Option<u64>,
    /// The address of its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "uri"))]
    pub image: Option<String>,
    /// What it is, in a few sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its courses or kinds, such as `Dessert`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<String>,
    /// The cuisines it belongs to, such as `Italian`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuisine: Vec<String>,
    /// Its keywords, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// The page's language (BCP 47).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-atlas" = { "kind": "language" }))]
    pub language: Option<String>,
    /// The name of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_name: Option<String>,
    /// The page's address, as it states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "uri"))]
    pub canonical_url: Option<String>,
}

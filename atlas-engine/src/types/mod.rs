//! Built-in record types: ready schemas for what pages describe most.
//!
//! Each is an ordinary serde type whose JSON Schema steers the extraction; a type of your own works the same way. Every
//! field is optional except the one without which the record says nothing.

mod article;
mod product;
mod recipe;
mod table;

pub use article::Article;
pub use product::Product;
pub use recipe::Recipe;
pub use table::Table;

use serde_json::Value;

/// The names [`by_name`] knows.
pub const NAMES: [&str; 4] = ["recipe", "product", "article", "table"];

/// The JSON Schema of a built-in type by its lower-case name; `None` for any other name.
pub fn by_name(name: &str) -> Option<Value> {
    Some(match name {
        "recipe" => schema_of::<Recipe>(),
        "product" => schema_of::<Product>(),
        "article" => schema_of::<Article>(),
        "table" => schema_of::<Table>(),
        _ => return None,
    })
}

/// The JSON Schema (draft 2020-12) of a type.
pub fn schema_of<T: schemars::JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

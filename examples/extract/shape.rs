//! The shape of one record: a built-in type or the caller's JSON Schema.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// A schema, and its name for people.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

impl Shape {
    /// A type of the engine.
    pub(crate) fn builtin(name: &str) -> Result<Arc<Self>> {
        let schema = atlas_engine::types::by_name(name)
            .with_context(|| format!("no built-in type `{name}`: there are recipe, product, article and table"))?;
        Ok(Arc::new(Self { name: name.to_owned(), schema }))
    }

    /// A file with a JSON Schema. It is checked here, once, before any page is touched.
    pub(crate) fn file(path: &Path) -> Result<Arc<Self>> {
        let shown = path.display();
        let bytes = std::fs::read(path)
            .with_context(|| format!("the schema {shown} can't be read: check the path and its permissions"))?;
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let schema: Value = serde_json::from_slice(text)
            .with_context(|| format!("the schema {shown} is not JSON: it must be one JSON Schema document"))?;
        if !schema.is_object() {
            bail!("the schema {shown} is not a JSON object: write {{\"type\": \"object\", \"properties\": {{…}}}}");
        }
        // The error says what it is about: only the file is missing in it.
        let compiled = atlas_engine::shape::Shape::compile(&schema).with_context(|| format!("--schema {shown}"))?;
        if compiled.fields(compiled.root()).is_empty() {
            bail!("the schema {shown} names no fields: say under `properties` what to look for");
        }
        let name = schema.get("title").and_then(Value::as_str).map_or_else(
            || path.file_stem().map_or_else(|| "schema".into(), |stem| stem.to_string_lossy().into_owned()),
            str::to_owned,
        );
        Ok(Arc::new(Self { name, schema }))
    }
}

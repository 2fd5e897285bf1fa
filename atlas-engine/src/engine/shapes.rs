//! Compiled schemas, kept because the same few are asked for again and again.

use crate::shape::{SchemaError, Shape};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Schemas kept: the most recently used ones.
const KEPT: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Shapes {
    /// The most recently used first.
    kept: Mutex<VecDeque<Arc<Shape>>>,
}

impl Shapes {
    /// The shape of a schema, compiled now or before.
    pub(super) fn get(&self, schema: &Value) -> Result<Arc<Shape>, SchemaError> {
        if let Some(shape) = self.take(schema) {
            return Ok(shape);
        }
        // Compiled outside the lock: a slow schema must not hold up the others.
        let shape = Arc::new(Shape::compile(schema)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(Arc::clone(&shape));
        kept.truncate(KEPT);
        Ok(shape)
    }

    fn take(&self, schema: &Value) -> Option<Arc<Shape>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|shape| shape.schema() == schema)?;
        let shape = kept.remove(at)?;
        kept.push_front(Arc::clone(&shape));
        Some(shape)
    }
}

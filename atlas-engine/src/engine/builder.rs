//! Building an engine.

use super::{Engine, Shapes};
use crate::error::EngineError;
use crate::fetch::Fetcher;
use crate::page::ParseOptions;
use crate::strategy::{Strategy, direct::Direct};
use std::sync::Arc;

/// Builds an [`Engine`].
#[derive(Debug)]
pub struct EngineBuilder {
    fetcher: Option<Arc<dyn Fetcher>>,
    strategies: Vec<Arc<dyn Strategy>>,
    parse: ParseOptions,
}

impl Default for EngineBuilder {
    /// The `direct` strategy, no fetcher, the limits of [`ParseOptions`].
    fn default() -> Self {
        Self { fetcher: None, strategies: vec![Arc::new(Direct::new())], parse: ParseOptions::default() }
    }
}

impl EngineBuilder {
    /// Sets where pages come from. Without one, only pages handed in can be read.
    #[must_use]
    pub fn fetcher(mut self, fetcher: Arc<dyn Fetcher>) -> Self {
        self.fetcher = Some(fetcher);
        self
    }

    /// Adds a strategy to the built-in ones.
    #[must_use]
    pub fn strategy(mut self, strategy: Arc<dyn Strategy>) -> Self {
        self.strategies.push(strategy);
        self
    }

    /// Takes the built-in strategies out: only those added after this run.
    #[must_use]
    pub fn without_builtin(mut self) -> Self {
        self.strategies.clear();
        self
    }

    /// Sets the limits on pages: bytes, nodes, depth, attributes. Its address and charset are ignored.
    #[must_use]
    pub fn limits(mut self, limits: ParseOptions) -> Self {
        self.parse = limits;
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// [`EngineError::DuplicateStrategy`] if two strategies share a name.
    pub fn build(self) -> Result<Engine, EngineError> {
        for (at, strategy) in self.strategies.iter().enumerate() {
            let name = strategy.name();
            if self.strategies.iter().take(at).any(|before| before.name() == name) {
                return Err(EngineError::DuplicateStrategy { name });
            }
        }
        Ok(self.without_checks())
    }

    pub(super) fn without_checks(self) -> Engine {
        Engine {
            fetcher: self.fetcher,
            strategies: self.strategies.into(),
            parse: self.parse,
            shapes: Arc::new(Shapes::default()),
        }
    }
}

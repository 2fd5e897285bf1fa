//! Direct: reads what the page states as data, then what it shows under labels, without a model.
//!
//! `want` says where a field's value may stand, `choose` which of the things described are the records, `map` fills
//! them. The order of trust is JSON-LD, microdata, meta elements, labelled lists; agreeing sources add evidence.

mod byline;
mod choose;
mod flatten;
mod headed;
mod map;
mod marks;
mod rows;
mod shown;
mod tabular;
mod vocabulary;
mod want;

use super::{Draft, DraftRecord, Fit, Strategy, StrategyError, Task};
use async_trait::async_trait;
use atlas_schema::{ExtractionRequest, StrategyName};
use map::Mapper;
use want::{Want, WantedType};

/// The strategy called `direct`.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Direct;

impl Direct {
    /// The strategy. It has no settings.
    pub const fn new() -> Self {
        Self
    }

    /// Drafts records: pure, bounded by the page's size.
    pub fn draft(task: &Task<'_>) -> Draft {
        let shape = task.shape;
        if tabular::wanted(shape) {
            return tabular::draft(task.reading.page(), shape);
        }
        let wanted = WantedType::of(shape);
        let title = shape.node(shape.root()).title.as_deref().unwrap_or("");
        let kinds = super::words(title);
        let wants: Vec<Want> = shape
            .fields(shape.root())
            .iter()
            .map(|field| Want::new(&field.name, shape.node(field.node), &kinds))
            .collect();
        let mains = choose::mains(task.reading, wanted.as_ref(), &wants);
        let mut draft = Draft::default();
        let whole_page = mains.len() < 2;
        let sources = if mains.is_empty() { vec![Vec::new()] } else { mains };
        for main in &sources {
            let mapper = Mapper {
                reading: task.reading,
                shape,
                kinds: kinds.clone(),
                whole_page,
                record: DraftRecord::default(),
                warnings: Vec::new(),
            };
            let (record, warnings) = mapper.fill(main);
            draft.warnings.extend(warnings);
            if record.data.as_object().is_some_and(|map| !map.is_empty()) {
                draft.records.push(record);
            }
        }
        draft
    }
}

#[async_trait]
impl Strategy for Direct {
    fn name(&self) -> StrategyName {
        StrategyName::direct()
    }

    fn fit(&self, request: &ExtractionRequest) -> Fit {
        match request.schema {
            Some(_) => Fit::suits(90, "a schema says what is wanted, and reading costs nothing"),
            None => Fit::unfit("needs a schema"),
        }
    }

    async fn extract(&self, task: &Task<'_>) -> Result<Draft, StrategyError> {
        Ok(Self::draft(task))
    }
}

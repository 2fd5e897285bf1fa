//! Direct: reads what the page states as data, then what it shows under labels, without a model.
//!
//! `want` says where a field's value may stand, `choose` which of the things described are the records, `map` fills
//! them. The order of trust is JSON-LD, microdata, meta elements, labelled lists; agreeing sources add evidence.

mod byline;
mod choose;
mod effort;
mod flatten;
mod headed;
mod map;
mod marks;
mod outline;
mod rows;
mod shown;
mod tabular;
mod vocabulary;
mod want;

use super::{Draft, DraftRecord, Fit, Strategy, StrategyError, Task};
use async_trait::async_trait;
use atlas_schema::{ExtractionRequest, StrategyName};
use effort::{Effort, cut_short};
use map::Mapper;
use std::rc::Rc;
use want::{Want, WantedType, Wants};

/// The strategy called `direct`.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Direct;

impl Direct {
    /// The strategy. It has no settings.
    pub const fn new() -> Self {
        Self
    }

    /// Drafts records: pure, and bounded in its steps whatever the page says. Where that bound or the task's own end cuts
    /// the work, the draft holds what was found by then; the bound is told by the warning `work_cut_short`.
    pub fn draft(task: &Task<'_>) -> Draft {
        let shape = task.shape;
        let effort = Effort::of(task);
        if tabular::wanted(shape) {
            return tabular::draft(task.reading.page(), shape, &effort);
        }
        let wanted = WantedType::of(shape);
        let title = shape.node(shape.root()).title.as_deref().unwrap_or("");
        let wants = Wants::new(shape, super::words(title));
        let root: Vec<Rc<Want>> = shape.fields(shape.root()).iter().map(|field| wants.of(field)).collect();
        let mains = choose::mains(task.reading, wanted.as_ref(), &root, &effort);
        let mut draft = Draft::default();
        let whole_page = mains.len() < 2;
        let sources = if mains.is_empty() { vec![Vec::new()] } else { mains };
        for main in &sources {
            // A record that was begun in time is kept with what it has; none is begun later.
            if effort.is_over() {
                break;
            }
            let mapper = Mapper {
                reading: task.reading,
                shape,
                wants: &wants,
                effort: &effort,
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
        draft.warnings.extend(effort.warning());
        if task.reading.facts().is_cut_short() {
            draft.warnings.push(cut_short(
                "the page states more than is read of one page, so the rest of it was left out: split the page",
            ));
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

//! The catalogue: which models there are, what they cost and how long they live, as data.
//!
//! Nothing in the code names a model. Tiers are names that the catalogue binds to models, so that a retired model is a line
//! of a file. Prices are exact; where and when each was read stands beside it; the version is a hash of all that counts.

mod day;
mod error;
mod model;
mod price;
mod raw;
mod read;

pub use day::{Day, InvalidDay};
pub use error::{CatalogueError, CatalogueFault};
pub use model::{
    Around, Effort, Encoding, LongContext, Model, ModelId, PriceSource, Prices, Provider, Structured, Tier,
};
pub use price::{Factor, Rate};

pub(crate) use price::Amount;

use raw::RawFile;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The catalogue that comes with the crate.
const BUILT_IN: &str = include_str!("../../catalogue.toml");

/// A date by hand and a hash by machine: two catalogues of the same version decide alike.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct CatalogueVersion(String);

impl fmt::Display for CatalogueVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CatalogueVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Models, tiers and fallbacks that agree with each other.
///
/// ```
/// use atlas_router::catalogue::{Catalogue, Day};
///
/// let catalogue = Catalogue::built_in()?;
/// let model = catalogue.model("gpt-5-nano").unwrap();
/// let last: Day = "2026-12-10".parse().unwrap();
/// assert!(model.lives_on(last) && !model.lives_on("2026-12-11".parse().unwrap()));
/// assert_eq!(model.prices.output.to_string(), "$0.4/M");
/// # Ok::<(), atlas_router::catalogue::CatalogueError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Catalogue {
    label: String,
    models: BTreeMap<ModelId, Model>,
    tiers: BTreeMap<Tier, Vec<ModelId>>,
    fallbacks: BTreeMap<String, Vec<String>>,
    version: CatalogueVersion,
}

impl Catalogue {
    /// The catalogue that comes with the crate.
    ///
    /// # Errors
    /// Never for a released crate: its tests read it.
    pub fn built_in() -> Result<Self, CatalogueError> {
        Self::read(BUILT_IN)
    }

    /// Reads a whole catalogue from TOML. `catalogue.toml` beside the sources shows the form.
    ///
    /// # Errors
    /// [`CatalogueError`] with every fault: prices that are absent, negative, no decimal text; names that nothing bears.
    pub fn read(text: &str) -> Result<Self, CatalogueError> {
        Self::over(None, text)
    }

    /// This catalogue with rows, tiers and fallbacks of a file put in the place of those of the same name, and those that
    /// its `remove` names taken out.
    ///
    /// # Errors
    /// [`CatalogueError`] with every fault, also those that only show in the whole.
    pub fn with_overlay(&self, text: &str) -> Result<Self, CatalogueError> {
        Self::over(Some(self), text)
    }

    fn over(below: Option<&Self>, text: &str) -> Result<Self, CatalogueError> {
        let raw: RawFile = toml::from_str(text).map_err(|error| CatalogueError {
            faults: vec![CatalogueFault {
                place: place_of(&error, text),
                rule: "must be TOML with the fields of a catalogue only",
            }],
        })?;
        let mut faults = Vec::new();
        let mut models = below.map_or_else(BTreeMap::new, |below| below.models.clone());
        let mut seen = BTreeSet::new();
        for name in raw.remove {
            if models.remove(name.as_str()).is_none() {
                faults.push(fault(format!("remove, {name}"), "must be a model of the catalogue below"));
            }
        }
        for (at, row) in raw.models.into_iter().enumerate() {
            if let Some(model) = read::model(row, at, &raw.sources, &mut faults) {
                if !seen.insert(model.id.clone()) {
                    faults.push(fault(format!("model {}", model.id), "must stand in the file once"));
                }
                models.insert(model.id.clone(), model);
            }
        }
        let mut tiers = below.map_or_else(BTreeMap::new, |below| below.tiers.clone());
        for (name, bound) in raw.tiers {
            tiers.insert(Tier::new(name), bound.into_iter().map(ModelId::new).collect());
        }
        let mut fallbacks = below.map_or_else(BTreeMap::new, |below| below.fallbacks.clone());
        fallbacks.extend(raw.fallbacks);
        let label = raw.version.or_else(|| below.map(|below| below.label.clone())).unwrap_or_default();
        // What could not be read is no reason to complain again about what speaks of it.
        if faults.is_empty() {
            agree(&models, &tiers, &fallbacks, &mut faults);
        }
        if !faults.is_empty() {
            return Err(CatalogueError { faults });
        }
        let version = version(&label, &models, &tiers, &fallbacks);
        Ok(Self { label, models, tiers, fallbacks, version })
    }

    /// The row of a model.
    pub fn model(&self, id: &str) -> Option<&Model> {
        self.models.get(id)
    }

    /// All models, by name.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.values()
    }

    /// The models of a tier, in order of preference; `None` for a name that is no tier.
    pub fn tier(&self, name: &str) -> Option<impl Iterator<Item = &Model>> {
        Some(self.tiers.get(name)?.iter().filter_map(|id| self.models.get(id)))
    }

    /// All tiers, by name.
    pub fn tiers(&self) -> impl Iterator<Item = &Tier> {
        self.tiers.keys()
    }

    /// The version that decisions name.
    pub const fn version(&self) -> &CatalogueVersion {
        &self.version
    }

    /// The nearest successor that lives on that day, if the row and those that follow it name one.
    pub fn successor(&self, model: &Model, day: Day) -> Option<&Model> {
        let mut seen = BTreeSet::from([&model.id]);
        let mut next = model.successor.as_ref()?;
        while seen.insert(next) {
            let row = self.models.get(next)?;
            if row.lives_on(day) {
                return Some(row);
            }
            next = row.successor.as_ref()?;
        }
        None
    }

    /// The models to try from a tier or model on, each once, nearest first: its own models, then those of its fallbacks, then
    /// those of theirs. Circles end, since nothing is visited twice.
    pub fn chain(&self, from: &str) -> Vec<&Model> {
        let mut chain: Vec<&Model> = Vec::new();
        let (mut seen, mut queue) = (BTreeSet::new(), std::collections::VecDeque::from([from]));
        while let Some(name) = queue.pop_front() {
            if !seen.insert(name) {
                continue;
            }
            let bound = self.tiers.get(name).map_or(&[][..], Vec::as_slice);
            let own = self.models.get(name).into_iter().chain(bound.iter().filter_map(|id| self.models.get(id)));
            for model in own {
                if !chain.iter().any(|known| known.id == model.id) {
                    chain.push(model);
                }
            }
            queue.extend(self.fallbacks.get(name).into_iter().flatten().map(String::as_str));
        }
        chain
    }

    /// The tier that a model is bound to first, if any: where its fallbacks start.
    pub fn tier_of(&self, id: &ModelId) -> Option<&Tier> {
        self.tiers.iter().find(|(_, bound)| bound.contains(id)).map(|(tier, _)| tier)
    }
}

fn fault(place: String, rule: &'static str) -> CatalogueFault {
    CatalogueFault { place, rule }
}

/// The line of a TOML error. Its own text may quote the file, so only the place is kept.
fn place_of(error: &toml::de::Error, text: &str) -> String {
    let Some(span) = error.span() else { return "the file".into() };
    let before = text.get(..span.start).unwrap_or_default();
    format!("line {}", before.matches('\n').count() + 1)
}

/// Whether all that is named is there.
fn agree(
    models: &BTreeMap<ModelId, Model>,
    tiers: &BTreeMap<Tier, Vec<ModelId>>,
    fallbacks: &BTreeMap<String, Vec<String>>,
    faults: &mut Vec<CatalogueFault>,
) {
    for (tier, bound) in tiers {
        if !read::is_name(tier.as_str()) || models.contains_key(tier.as_str()) || bound.is_empty() {
            faults.push(fault(
                format!("tiers.{tier}"),
                "must be a name that no model bears, bound to at least one model",
            ));
        }
        for id in bound.iter().filter(|id| !models.contains_key(*id)) {
            faults.push(fault(format!("tiers.{tier}, {id}"), "must be a model of the catalogue"));
        }
    }
    let known = |name: &str| models.contains_key(name) || tiers.contains_key(name);
    for (from, to) in fallbacks {
        for name in std::iter::once(from).chain(to).filter(|name| !known(name)) {
            faults.push(fault(format!("fallbacks.{from}, {name}"), "must be a tier or a model of the catalogue"));
        }
    }
    for model in models.values() {
        if model.successor.as_ref().is_some_and(|successor| !models.contains_key(successor)) {
            faults.push(fault(format!("model {}, successor", model.id), "must be a model of the catalogue"));
        }
    }
}

/// The label and the first half of a SHA-256 over all that decisions and costs depend on.
fn version(
    label: &str,
    models: &BTreeMap<ModelId, Model>,
    tiers: &BTreeMap<Tier, Vec<ModelId>>,
    fallbacks: &BTreeMap<String, Vec<String>>,
) -> CatalogueVersion {
    // The debug form of maps and rows is total and ordered; it holds no address and no float.
    let text = format!("{:?}\n{tiers:?}\n{fallbacks:?}", models.values().collect::<Vec<_>>());
    let hash: String = Sha256::digest(text.as_bytes()).iter().take(8).fold(String::new(), |mut hash, byte| {
        use fmt::Write as _;
        // Writing to a text can't fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    });
    CatalogueVersion(if label.is_empty() { hash } else { format!("{label}+{hash}") })
}

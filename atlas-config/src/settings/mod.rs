//! Settings: typed, complete, immutable, and refused as a whole when anything is wrong.
//!
//! Values come in layers: presets of the stage, then what the host gives (a file, a map), then the environment; the last
//! one that speaks wins, and [`Settings::entries`] tells who it was. Names are one per setting, spelled out; each
//! predecessor's name still works and must not disagree. The rules that the rest leans on: a text is a value or an
//! error, never a preset in disguise; every fault is reported at once; no report holds a value.

mod field;
mod problem;
mod reader;
mod rules;
mod source;
mod table;
#[cfg(feature = "toml")]
mod toml;
mod value;

pub use field::{Field, Part, Preset, Required, Rule};
pub use problem::{Problem, ProblemKind, SettingsError};
pub use table::{Deployment, Engine, Environment, Fetch, Jobs, LogLevel, ModelSize, ModelStrategy, Models, Service};

use crate::{egress::EgressPolicy, names::ResourceNames};
use atlas_schema::Stage;
use reader::Reader;
use source::Layer;
use std::{collections::BTreeSet, ffi::OsString, fmt, path::PathBuf, sync::Arc};

/// All settings of a process, checked as a whole.
///
/// ```
/// use atlas_config::Settings;
///
/// let settings = Settings::from_map([("ATLAS_STAGE", "preview"), ("ATLAS_CONCURRENCY", "8")])?;
/// assert_eq!(settings.jobs().concurrency, 8);
/// assert_eq!(settings.names().stage().as_str(), "preview");
///
/// let refused = Settings::from_map([("ATLAS_RETRYS", "5"), ("ATLAS_LEASE", "30s")]).unwrap_err();
/// assert_eq!(refused.problems().len(), 2);
/// # Ok::<(), atlas_config::SettingsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    stage: Stage,
    environment: Environment,
    deployment: Deployment,
    service: Service,
    models: Models,
    fetch: Fetch,
    engine: Engine,
    jobs: Jobs,
    entries: Vec<Entry>,
}

impl Settings {
    /// From the process's environment alone.
    ///
    /// # Errors
    /// [`SettingsError`] lists every fault: unknown `ATLAS_` names, values that break their rule, what is missing in
    /// this stage, and settings that contradict each other.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::loader().with_env().load()
    }

    /// From names and values alone; the environment is not read.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_map<N, V>(values: impl IntoIterator<Item = (N, V)>) -> Result<Self, SettingsError>
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        Self::loader().with_layer("map", values).load()
    }

    /// A loader without any layer: presets only.
    pub const fn loader() -> Loader {
        Loader { layers: Vec::new(), ignored: BTreeSet::new(), without: BTreeSet::new() }
    }

    /// The table of settings: what can be set, with which rule and preset.
    pub fn fields() -> impl Iterator<Item = &'static Field> {
        table::fields()
    }

    /// Where this is deployed.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// What kind of environment this is; the stage decides it.
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// The names of this stage's resources.
    pub const fn names(&self) -> ResourceNames {
        ResourceNames::of(self.stage)
    }

    /// Which addresses may be dialled.
    pub fn egress(&self) -> EgressPolicy {
        let Fetch { allow_loopback, allowed_networks, denied_networks, .. } = &self.fetch;
        let base = if *allow_loopback { EgressPolicy::allowing_loopback() } else { EgressPolicy::public_only() };
        let allowed = allowed_networks.iter().fold(base, |policy, net| policy.with_allowed(*net));
        denied_networks.iter().fold(allowed, |policy, net| policy.with_denied(*net))
    }

    /// The database file of jobs: the given one, or one named for this stage in the working directory.
    pub fn database(&self) -> PathBuf {
        let own_name = || format!("{}.db", self.names().name(crate::Resource::JobsTable)).into();
        self.jobs.database.clone().unwrap_or_else(own_name)
    }

    /// Where the process runs.
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The HTTP service.
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// Language models and what they may cost.
    pub const fn models(&self) -> &Models {
        &self.models
    }

    /// How pages are fetched.
    pub const fn fetch(&self) -> &Fetch {
        &self.fetch
    }

    /// What one extraction may take.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The job manager.
    pub const fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Every setting that has a value, in the order of the table, with where the value came from. Secrets are shown as
    /// `[REDACTED]`.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Models {
    /// Whether a call may go to the preview generation.
    pub const fn uses_gpt5(&self) -> bool {
        !self.force_gpt4 && self.gpt5_enabled && !matches!(self.strategy, ModelStrategy::Gpt4Stable)
    }
}

/// One setting's value and where it came from.
#[derive(Debug, Clone)]
pub struct Entry {
    field: &'static Field,
    shown: String,
    origin: Option<Arc<str>>,
    overridden: Vec<Arc<str>>,
}

impl Entry {
    /// The row of the table.
    pub const fn field(&self) -> &'static Field {
        self.field
    }

    /// The value as text, as it was given or preset; `[REDACTED]` for a secret.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The layer that gave the value; `None` for a preset.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The layers whose values this one replaced, first to last.
    pub fn overridden(&self) -> impl Iterator<Item = &str> {
        self.overridden.iter().map(AsRef::as_ref)
    }
}

/// Gathers layers, then checks them as a whole. A later layer replaces an earlier one, setting by setting.
#[derive(Clone)]
pub struct Loader {
    layers: Vec<Layer>,
    ignored: BTreeSet<String>,
    without: BTreeSet<&'static str>,
}

impl Loader {
    /// Adds names and values; `origin` names the layer in reports. Names without the prefix `ATLAS_` that are no
    /// setting's are passed over, so that a whole environment can be given.
    #[must_use]
    pub fn with_layer<N, V>(mut self, origin: &str, values: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let values = values.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.layers.push(Layer { origin: origin.into(), values, problems: Vec::new() });
        self
    }

    /// Adds the process's environment. Give it last: by custom it wins over files.
    #[must_use]
    pub fn with_env(self) -> Self {
        self.with_layer("environment", std::env::vars_os())
    }

    /// Adds a TOML text of `NAME = value` lines; values are strings, whole numbers or booleans.
    ///
    /// A syntax error is reported by [`load`](Self::load) with its line number and nothing of the line.
    #[cfg(feature = "toml")]
    #[must_use]
    pub fn with_toml(mut self, origin: &str, text: &str) -> Self {
        self.layers.push(toml::layer(origin, text));
        self
    }

    /// Passes over a name that has our prefix but belongs to another program.
    #[must_use]
    pub fn ignoring(mut self, name: &str) -> Self {
        self.ignored.insert(name.to_owned());
        self
    }

    /// States that the host does not embed `part`, so that nothing is required for it.
    #[must_use]
    pub fn without(mut self, part: Part) -> Self {
        self.without.insert(reader::part_name(part));
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn load(&self) -> Result<Settings, SettingsError> {
        let gathered = source::gather(&self.layers, &self.ignored);
        let without = &self.without;
        let mut reader = Reader { gathered, stage: Stage::Dev, without, entries: Vec::new() };
        reader.stage = reader.read(&table::STAGE);
        let deployment = Deployment::read(&mut reader);
        let service = Service::read(&mut reader);
        let mut models = Models::read(&mut reader);
        let fetch = Fetch::read(&mut reader);
        let engine = Engine::read(&mut reader);
        let jobs = Jobs::read(&mut reader);
        let environment = rules::environment(&mut reader, &deployment);
        rules::models(&mut reader, &mut models);
        rules::limits(&mut reader, &deployment, &fetch, &engine, &jobs);
        rules::production(&mut reader, &service, &models, &fetch);
        rules::isolation(&mut reader, &deployment);
        let Reader { gathered, stage, entries, .. } = reader;
        let mut problems = gathered.problems;
        if problems.is_empty() {
            let settings = Settings { stage, environment, deployment, service, models, fetch, engine, jobs, entries };
            return Ok(settings);
        }
        problems.sort_by(|a, b| a.name.cmp(&b.name));
        Err(SettingsError { problems })
    }
}

impl fmt::Debug for Loader {
    /// Origins only: the layers hold raw values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.layers.iter().map(|layer| &layer.origin)).finish()
    }
}

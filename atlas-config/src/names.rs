//! Resource names: `atlas-codex-{resource}-{stage}`, built here and nowhere else.
//!
//! A [`ResourceName`] carries its stage and can only come from a [`ResourceNames`], which is bound to one stage. So code
//! that holds the names of `dev` has no way to spell a resource of `production`, and text from outside becomes a name
//! only if it belongs to the stage. The invariant: two stages never share a name, because a name ends in its stage and
//! no stage's name holds a dash.

use atlas_schema::Stage;
use std::fmt;

const PREFIX: &str = "atlas-codex-";
/// The shortest limit of what is named: S3 buckets (63), queues (80), tables (255).
const MAX_NAME: usize = 63;

/// A resource that every deployment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// The table (or database) of jobs.
    JobsTable,
    /// The table of open websocket connections.
    ConnectionsTable,
    /// The queue of wake-ups.
    Queue,
    /// The queue of messages that could not be handled.
    DeadLetterQueue,
    /// The bucket of results too large for a record.
    ArtifactsBucket,
    /// The bucket of logs.
    LogsBucket,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 6] = [
        Self::JobsTable,
        Self::ConnectionsTable,
        Self::Queue,
        Self::DeadLetterQueue,
        Self::ArtifactsBucket,
        Self::LogsBucket,
    ];

    /// The part of a name that tells the resource.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JobsTable => "jobs",
            Self::ConnectionsTable => "connections",
            Self::Queue => "queue",
            Self::DeadLetterQueue => "dlq",
            Self::ArtifactsBucket => "artifacts",
            Self::LogsBucket => "logs",
        }
    }
}

/// A text that names no resource of this stage. Holds neither the text nor the other stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a resource of stage {stage}: names have the form atlas-codex-RESOURCE-{stage}")]
#[non_exhaustive]
pub struct ForeignName {
    /// The stage whose names were asked.
    pub stage: Stage,
}

/// A text that cannot be the resource part of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a resource is 1 to 40 of a-z, 0-9 and dashes, with no dash first, last or doubled")]
pub struct InvalidResource;

/// The names of one stage's resources.
///
/// ```
/// use atlas_config::{Resource, ResourceNames};
/// use atlas_schema::Stage;
///
/// let names = ResourceNames::of(Stage::Dev);
/// assert_eq!(names.name(Resource::JobsTable).as_str(), "atlas-codex-jobs-dev");
/// assert!(names.parse("atlas-codex-jobs-production").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceNames {
    stage: Stage,
}

/// The full name of one resource of one stage. Only [`ResourceNames`] makes one:
///
/// ```compile_fail
/// let forged = atlas_config::ResourceName { stage: atlas_schema::Stage::Production, text: "x".into() };
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName {
    stage: Stage,
    text: Box<str>,
}

impl ResourceNames {
    /// The names of `stage`.
    pub const fn of(stage: Stage) -> Self {
        Self { stage }
    }

    /// The stage whose names these are.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// The name of a resource that every deployment has.
    pub fn name(&self, resource: Resource) -> ResourceName {
        self.build(resource.as_str())
    }

    /// The name of a host's own resource.
    ///
    /// # Errors
    /// [`InvalidResource`] unless `resource` is 1 to 40 of `a-z`, `0-9` and single inner dashes.
    pub fn custom(&self, resource: &str) -> Result<ResourceName, InvalidResource> {
        if is_resource(resource) { Ok(self.build(resource)) } else { Err(InvalidResource) }
    }

    /// Reads a name written elsewhere, such as in a variable of the deployment.
    ///
    /// # Errors
    /// [`ForeignName`] for a name of another stage or of another form.
    pub fn parse(&self, text: &str) -> Result<ResourceName, ForeignName> {
        let inner = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(self.stage.as_str()));
        match inner.and_then(|rest| rest.strip_suffix('-')) {
            Some(resource) if is_resource(resource) => Ok(self.build(resource)),
            _ => Err(ForeignName { stage: self.stage }),
        }
    }

    fn build(self, resource: &str) -> ResourceName {
        let stage = self.stage;
        ResourceName { stage, text: format!("{PREFIX}{resource}-{stage}").into() }
    }
}

fn is_resource(text: &str) -> bool {
    let longest = MAX_NAME - PREFIX.len() - "-production".len();
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.split('-').all(|part| !part.is_empty())
}

impl ResourceName {
    /// The name as the platform spells it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The stage that owns the resource.
    pub const fn stage(&self) -> Stage {
        self.stage
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResourceName({})", self.text)
    }
}

//! What callers and operators ask of jobs that exist.

use crate::state::{Command, Reject};
use atlas_schema::{JobError, JobId, JobStatus};
use serde_json::Value;
use std::time::Duration;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRequest {
    /// Which job.
    pub job: JobId,
    /// Only if the job is still at this version.
    pub if_version: Option<u64>,
    /// What is to happen.
    pub command: JobCommand,
}

/// What is to happen to a job.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum JobCommand {
    /// See [`Command::Cancel`].
    Cancel {
        /// Why: at most 1000 characters.
        reason: String,
        /// How long a running handler has to answer.
        acknowledge_within: Duration,
    },
    /// See [`Command::Redrive`].
    Redrive {
        /// Why: at most 1000 characters.
        reason: String,
        /// Not before so long from now.
        delay: Duration,
    },
    /// See [`Command::Abandon`].
    Abandon {
        /// Why.
        error: JobError,
    },
    /// See [`Command::Conclude`].
    Conclude {
        /// What the job gave.
        result: Value,
    },
}

impl From<JobCommand> for Command {
    fn from(command: JobCommand) -> Self {
        match command {
            JobCommand::Cancel { reason, acknowledge_within } => Self::Cancel { reason, acknowledge_within },
            JobCommand::Redrive { reason, delay } => Self::Redrive { reason, delay },
            JobCommand::Abandon { error } => Self::Abandon { error },
            JobCommand::Conclude { result } => Self::Conclude { result },
        }
    }
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandOutcome {
    /// It is done.
    Applied {
        /// The status after.
        status: JobStatus,
        /// The version after.
        version: u64,
    },
    /// The job's state allows no such thing; nothing changed.
    Rejected(Reject),
    /// There is no such job.
    NotFound,
}

//! `Debug` of what carries payloads, results and words of hosts: it shows their kind and size, as
//! [`Hidden`] says.

use crate::manager::RedriveOptions;
use crate::spec::JobSpec;
use crate::state::{Command, OutboxTopic};
use crate::store::{AckAction, JobCommand};
use crate::webhook::{JobEvent, WebhookEvent, WebhookJob};
use atlas_schema::Hidden;
use std::fmt::{Debug, Formatter, Result};

/// Fields are taken out by name before, so that a new one can't be forgotten.
macro_rules! debug_fields {
    ($name:literal, $f:ident, { $($plain:ident)* } $(, $hidden:ident = $shown:expr)*) => {
        $f.debug_struct($name)$(.field(stringify!($plain), $plain))*$(.field(stringify!($hidden), &$shown))*.finish()
    };
}

impl Debug for JobSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self {
            id,
            external_id,
            kind,
            queue,
            tenant,
            max_attempts,
            priority,
            run_at,
            deadline,
            attempt_timeout,
            callback,
            parent,
            idempotency_key,
            cost_cap,
            correlation_id,
            payload,
        } = self;
        debug_fields!(
            "JobSpec", f,
            {
                id external_id kind queue tenant max_attempts priority run_at deadline attempt_timeout callback parent
                idempotency_key cost_cap correlation_id
            },
            payload = Hidden::json(payload)
        )
    }
}

impl Debug for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Claim { worker, lease } => debug_fields!("Claim", f, { worker lease }),
            Self::Complete { epoch, result } => {
                debug_fields!("Complete", f, { epoch }, result = Hidden::json(result))
            }
            Self::Fail { epoch, error, retry } => debug_fields!("Fail", f, { epoch error retry }),
            Self::Release { epoch, delay } => debug_fields!("Release", f, { epoch delay }),
            Self::AcknowledgeCancel { epoch } => debug_fields!("AcknowledgeCancel", f, { epoch }),
            Self::Cancel { reason, acknowledge_within } => {
                debug_fields!("Cancel", f, { acknowledge_within }, reason = Hidden::text(reason))
            }
            Self::Abandon { error } => debug_fields!("Abandon", f, { error }),
            Self::Conclude { result } => debug_fields!("Conclude", f, {}, result = Hidden::json(result)),
            Self::ExpireLease { epoch } => debug_fields!("ExpireLease", f, { epoch }),
            Self::EndCancel => f.write_str("EndCancel"),
            Self::TimeOut => f.write_str("TimeOut"),
            Self::Redrive { reason, delay } => {
                debug_fields!("Redrive", f, { delay }, reason = Hidden::text(reason))
            }
        }
    }
}

impl Debug for JobCommand {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        // Its commands bear the same names.
        Command::from(self.clone()).fmt(f)
    }
}

impl Debug for AckAction {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Complete { result } => debug_fields!("Complete", f, {}, result = Hidden::json(result)),
            Self::Fail { error, retry } => debug_fields!("Fail", f, { error retry }),
            Self::Release { delay } => debug_fields!("Release", f, { delay }),
            Self::Cancelled => f.write_str("Cancelled"),
        }
    }
}

impl Debug for OutboxTopic {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Callback { url, tenant } => debug_fields!("Callback", f, { tenant }, url = Hidden::text(url)),
            Self::ChildEnded { parent } => debug_fields!("ChildEnded", f, { parent }),
            Self::BatchEnded {} => f.write_str("BatchEnded"),
        }
    }
}

impl Debug for WebhookEvent {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { event_type, version, timestamp, data } = self;
        debug_fields!("WebhookEvent", f, { event_type version timestamp }, data = Hidden::json(data))
    }
}

impl Debug for JobEvent {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self {
            job_id,
            external_id,
            kind,
            tenant,
            status,
            job_version,
            attempts,
            correlation_id,
            error,
            result,
            result_omitted,
        } = self;
        debug_fields!(
            "JobEvent", f,
            { job_id external_id kind tenant status job_version attempts correlation_id error result_omitted },
            result = result.as_ref().map(Hidden::json)
        )
    }
}

impl Debug for WebhookJob {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { url, event, message_id } = self;
        debug_fields!("WebhookJob", f, { event message_id }, url = Hidden::text(url))
    }
}

impl Debug for RedriveOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { filter, reason, limit, spread } = self;
        debug_fields!("RedriveOptions", f, { filter limit spread }, reason = Hidden::text(reason))
    }
}

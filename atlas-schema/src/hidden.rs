//! What `Debug` shows in place of what may hold secrets or page text: its kind and its size.
//!
//! Logs and failed assertions print records. Whoever wrote a payload, a result or a message did not agree to that.

use crate::audit::AuditEvent;
use crate::job::{Callback, CancelRequest, JobError, JobRecord, Progress};
use serde_json::Value;
use std::fmt;

/// Stands for a value in `Debug` output, such as `<text of 12 bytes>` or `<object of 3>`.
///
/// # Example: a type of a host's own
/// ```
/// use atlas_schema::Hidden;
/// struct Note(String);
/// impl std::fmt::Debug for Note {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         f.debug_tuple("Note").field(&Hidden::text(&self.0)).finish()
///     }
/// }
/// assert_eq!(format!("{:?}", Note("secret".into())), "Note(<text of 6 bytes>)");
/// assert_eq!(format!("{:?}", Hidden::json(&serde_json::json!([1, 2]))), "<array of 2>");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hidden {
    what: &'static str,
    size: Option<(usize, &'static str)>,
}

impl Hidden {
    /// In place of a text.
    pub const fn text(text: &str) -> Self {
        Self { what: "text", size: Some((text.len(), " bytes")) }
    }

    /// In place of JSON.
    pub fn json(value: &Value) -> Self {
        let (what, size) = match value {
            Value::Null => ("null", None),
            Value::Bool(_) => ("boolean", None),
            Value::Number(_) => ("number", None),
            Value::String(text) => return Self::text(text),
            Value::Array(items) => ("array", Some(items.len())),
            Value::Object(fields) => ("object", Some(fields.len())),
        };
        Self { what, size: size.map(|size| (size, "")) }
    }

    /// In place of a value of which nothing is known.
    pub const fn value(what: &'static str) -> Self {
        Self { what, size: None }
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            Some((size, unit)) => write!(f, "<{} of {size}{unit}>", self.what),
            None => write!(f, "<{}>", self.what),
        }
    }
}

/// `Debug` of a struct, field by field. Fields are taken out of it by name, so that a new one can't be forgotten.
macro_rules! debug_fields {
    ($name:literal, $f:ident, { $($plain:ident)* } $(, $hidden:ident = $shown:expr)*) => {
        $f.debug_struct($name)$(.field(stringify!($plain), $plain))*$(.field(stringify!($hidden), &$shown))*.finish()
    };
}

impl<P> fmt::Debug for JobRecord<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            schema_version,
            id,
            external_id,
            kind,
            queue,
            tenant,
            stage,
            status,
            version,
            epoch,
            attempt,
            max_attempts,
            priority,
            run_at,
            deadline,
            attempt_timeout_ms,
            lease,
            callback,
            parent,
            idempotency_key,
            cancel_requested,
            cost_cap,
            correlation_id,
            created_at,
            updated_at,
            started_at,
            finished_at,
            progress,
            payload: _,
            result,
            error,
        } = self;
        debug_fields!(
            "JobRecord", f,
            {
                schema_version id external_id kind queue tenant stage status version epoch attempt max_attempts priority
                run_at deadline attempt_timeout_ms lease callback parent idempotency_key cancel_requested cost_cap
                correlation_id created_at updated_at started_at finished_at progress error
            },
            payload = Hidden::value("payload"),
            result = result.as_ref().map(Hidden::json)
        )
    }
}

impl fmt::Debug for AuditEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, version, epoch, attempt, at, actor, kind, from, to, reason, error, correlation_id } = self;
        debug_fields!(
            "AuditEvent", f,
            { job version epoch attempt at actor kind from to error correlation_id },
            reason = reason.as_deref().map(Hidden::text)
        )
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url } = self;
        debug_fields!("Callback", f, {}, url = Hidden::text(url))
    }
}

impl fmt::Debug for CancelRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, reason, acknowledge_by } = self;
        debug_fields!("CancelRequest", f, { at acknowledge_by }, reason = Hidden::text(reason))
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { category, message } = self;
        debug_fields!("JobError", f, { category }, message = Hidden::text(message))
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, total, note } = self;
        debug_fields!("Progress", f, { done total }, note = note.as_deref().map(Hidden::text))
    }
}

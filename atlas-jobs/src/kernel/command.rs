//! What callers ask of jobs that exist, over single rows.

use super::enqueue::unfit;
use super::{Rows, readable};
use crate::error::StoreError;
use crate::state::{self, Reject};
use crate::store::{CommandOutcome, CommandRequest, JobCommand};
use atlas_schema::{Actor, Timestamp};

pub(crate) fn command(
    rows: &mut impl Rows,
    requests: Vec<CommandRequest>,
    actor: &Actor,
    now: Timestamp,
) -> Result<Vec<CommandOutcome>, StoreError> {
    requests.into_iter().map(|request| one(rows, request, actor, now)).collect()
}

fn one(
    rows: &mut impl Rows,
    request: CommandRequest,
    actor: &Actor,
    now: Timestamp,
) -> Result<CommandOutcome, StoreError> {
    let Some(before) = readable(rows.load(request.job), &request.job)? else { return Ok(CommandOutcome::NotFound) };
    if request.if_version.is_some_and(|version| version != before.version) {
        return Ok(CommandOutcome::Rejected(Reject::VersionConflict { current: before.version }));
    }
    if let JobCommand::Conclude { result } = &request.command
        && let Some(reject) = unfit(result, "the result", rows.capabilities().max_result_bytes)
    {
        return Ok(CommandOutcome::Rejected(reject));
    }
    match state::apply(&before, request.command.into(), now, actor.clone()) {
        Ok(applied) => {
            let outcome = CommandOutcome::Applied { status: applied.record.status, version: applied.record.version };
            rows.update(&before, applied)?;
            Ok(outcome)
        }
        Err(reject) => Ok(CommandOutcome::Rejected(reject)),
    }
}

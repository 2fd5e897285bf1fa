//! Names of queues, kinds and tenants, kept once in the database and as numbers everywhere else.

use super::error::corrupt;
use super::session::{Conn, Session};
use crate::error::StoreError;
use atlas_schema::{JobKind, JobRecord, QueueName, TenantId};
use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

const FIND: &str = "SELECT g.no, l.no, l.queue, l.kind, g.tenant
 FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (queue, kind, tenant)
 JOIN atlas_jobs_lane l ON l.queue = wanted.queue AND l.kind = wanted.kind
 JOIN atlas_jobs_group g ON g.lane = l.no AND g.tenant = wanted.tenant";
const READ: &str = "SELECT g.no, l.no, l.queue, l.kind, g.tenant FROM atlas_jobs_group g
 JOIN atlas_jobs_lane l ON l.no = g.lane WHERE g.no = ANY($1::int4[])";
const ADD_LANES: &str = "INSERT INTO atlas_jobs_lane (queue, kind)
 SELECT DISTINCT queue, kind FROM unnest($1::text[], $2::text[]) AS wanted (queue, kind)
 WHERE NOT EXISTS (SELECT FROM atlas_jobs_lane l WHERE l.queue = wanted.queue AND l.kind = wanted.kind)
 ORDER BY queue, kind ON CONFLICT DO NOTHING";
const ADD_GROUPS: &str = "INSERT INTO atlas_jobs_group (lane, tenant)
 SELECT DISTINCT l.no, wanted.tenant
 FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (queue, kind, tenant)
 JOIN atlas_jobs_lane l ON l.queue = wanted.queue AND l.kind = wanted.kind
 WHERE NOT EXISTS (SELECT FROM atlas_jobs_group g WHERE g.lane = l.no AND g.tenant = wanted.tenant)
 ORDER BY l.no, wanted.tenant ON CONFLICT DO NOTHING";

/// The most that are remembered: beyond it all are forgotten, and read again as they come.
const REMEMBERED: usize = 50_000;

pub(super) type Names = (QueueName, JobKind, TenantId);

/// A lane of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) no: i32,
    pub(super) lane: i32,
}

/// What this process knows of the groups, which never change.
#[derive(Default)]
pub(super) struct Groups(RwLock<Known>);

#[derive(Default)]
struct Known {
    by_name: HashMap<Arc<Names>, Group>,
    by_no: HashMap<i32, Arc<Names>>,
}

pub(super) fn names_of<P>(record: &JobRecord<P>) -> Names {
    (record.queue.clone(), record.kind.clone(), record.tenant.clone())
}

/// Whether two records have the same names: a call's jobs mostly do, and to compare them costs less than to look them up.
pub(super) fn are_in_one<P>(one: &JobRecord<P>, other: &JobRecord<P>) -> bool {
    (&one.queue, &one.kind, &one.tenant) == (&other.queue, &other.kind, &other.tenant)
}

/// The group of a record among those that were found.
pub(super) fn group_in<P>(
    groups: &HashMap<Names, Group>,
    record: &JobRecord<P>,
    operation: &'static str,
) -> Result<Group, StoreError> {
    groups.get(&names_of(record)).copied().ok_or_else(|| corrupt(operation, "a queue has no number"))
}

impl Groups {
    /// The names of these groups.
    pub(super) async fn names<C: Conn>(
        &self,
        session: Session<'_, C>,
        numbers: impl Iterator<Item = i32>,
    ) -> Result<HashMap<i32, Arc<Names>>, StoreError> {
        let numbers: HashSet<i32> = numbers.collect();
        let mut found = HashMap::with_capacity(numbers.len());
        let mut unknown = Vec::new();
        {
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
            for no in numbers {
                match known.by_no.get(&no) {
                    Some(names) => drop(found.insert(no, Arc::clone(names))),
                    None => unknown.push(no),
                }
            }
        }
        if !unknown.is_empty() {
            // Jobs name their groups: whoever sees the job may see, and remember, its group.
            for (group, names) in read(session, READ, &[&unknown]).await? {
                found.insert(group.no, self.remember(group, names));
            }
        }
        Ok(found)
    }

    /// The groups of these names, made if they are not there.
    ///
    /// Within a transaction of the host's they may be rolled back: then `lasting` is false, and nothing is remembered.
    pub(super) async fn find_or_add<C: Conn>(
        &self,
        session: Session<'_, C>,
        wanted: HashSet<Names>,
        lasting: bool,
    ) -> Result<HashMap<Names, Group>, StoreError> {
        let mut found = HashMap::with_capacity(wanted.len());
        let mut missing = Vec::new();
        {
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
            for names in wanted {
                match known.by_name.get(&names) {
                    Some(group) => drop(found.insert(names, *group)),
                    None => missing.push(names),
                }
            }
        }
        // First looked for, then added, then looked for again: who adds first doesn't matter.
        for add in [false, true] {
            if missing.is_empty() {
                break;
            }
            let queues: Vec<&str> = missing.iter().map(|(queue, _, _)| queue.as_str()).collect();
            let kinds: Vec<&str> = missing.iter().map(|(_, kind, _)| kind.as_str()).collect();
            let tenants: Vec<&str> = missing.iter().map(|(_, _, tenant)| tenant.as_str()).collect();
            if add {
                session.rows(ADD_LANES, &[&queues, &kinds]).await?;
                session.rows(ADD_GROUPS, &[&queues, &kinds, &tenants]).await?;
            }
            for (group, names) in read(session, FIND, &[&queues, &kinds, &tenants]).await? {
                if lasting {
                    self.remember(group, names.clone());
                }
                found.insert(names, group);
            }
            missing.retain(|names| !found.contains_key(names));
        }
        if missing.is_empty() { Ok(found) } else { Err(corrupt(session.operation, "a queue can't be given a number")) }
    }

    fn remember(&self, group: Group, names: Names) -> Arc<Names> {
        let names = Arc::new(names);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.by_no.len() >= REMEMBERED {
            *known = Known::default();
        }
        known.by_name.insert(Arc::clone(&names), group);
        known.by_no.insert(group.no, Arc::clone(&names));
        names
    }
}

async fn read<C: Conn>(
    session: Session<'_, C>,
    sql: &str,
    params: &[super::session::Param<'_>],
) -> Result<Vec<(Group, Names)>, StoreError> {
    let rows = session.rows(sql, params).await?;
    let bad = || corrupt(session.operation, "a stored name is not one that this release writes");
    rows.iter()
        .map(|row| {
            let get = |at| row.try_get::<_, &str>(at).map_err(|_| bad());
            let number = |at| row.try_get::<_, i32>(at).map_err(|_| bad());
            let names = (
                QueueName::from_str(get(2)?).map_err(|_| bad())?,
                JobKind::from_str(get(3)?).map_err(|_| bad())?,
                TenantId::from_str(get(4)?).map_err(|_| bad())?,
            );
            Ok((Group { no: number(0)?, lane: number(1)? }, names))
        })
        .collect()
}

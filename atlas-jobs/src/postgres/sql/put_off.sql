-- $1 ids, $2 numbers of the workers whose leases they are, $3 milliseconds, $4 the error of a lease that ran out; null for one that
-- is given back. Jobs that can't be read go back to wait for so long, as after a release, whose attempt does not count, or
-- as after the end of a lease, whose attempt does. No record is needed for that. One that somebody asked to stop stays where it is,
-- and so does one without another attempt: only an end will do for them, which has to wait for their records. So does one whose
-- group is not there, or that someone else has locked.
WITH held AS MATERIALIZED (
  SELECT id FROM atlas_jobs_lease WHERE id = ANY($1::uuid[]) AND worker = ANY($2::int4[])
    AND cancel IS NULL AND cancel_by IS NULL
  ORDER BY id FOR UPDATE SKIP LOCKED
), back AS (
  DELETE FROM atlas_jobs_lease l USING atlas_jobs_job j, atlas_jobs_group g, atlas_jobs_worker w
  WHERE l.id = ANY (ARRAY(SELECT id FROM held)) AND j.id = l.id AND g.no = l.grp AND w.no = l.worker
    AND ($4::text IS NULL OR l.attempt < j.max_attempts)
  RETURNING l.id, l.version, l.epoch, l.started_at, l.grp, l.attempt,
    CASE WHEN $4::text IS NULL THEN greatest(l.attempt - 1, 0) ELSE l.attempt END AS counted, l.follows, l.claim_here, l.deadline,
    coalesce($4::text, l.error) AS error, g.lane, j.priority, w.name, greatest(atlas_jobs_now(), l.started_at, l.updated_at) AS at
), deferred AS (
  INSERT INTO atlas_jobs_deferred (id, run_at, epoch, version, lane, grp, rank, attempt, follows, deadline, updated_at,
    started_at, error)
  SELECT id, atlas_jobs_now() + $3::int8, epoch, version + 1, lane, grp, -(priority::int4), counted, follows,
    deadline, at, started_at, error
  FROM back
), counted AS (
  INSERT INTO atlas_jobs_move (grp, source, target, jobs) SELECT grp, 1, 0, count(*) FROM back GROUP BY grp
), told AS (
  INSERT INTO atlas_jobs_event (job, version, epoch, at, attempt, source, target, kind, actor, error)
  SELECT id, version, epoch, started_at, attempt, 0, 1, '"claimed"', json_build_object('kind', 'worker', 'id', name)::text, NULL
  FROM back WHERE claim_here
  UNION ALL
  SELECT id, version + 1, epoch, at, counted, 1, 0, CASE WHEN $4::text IS NULL THEN '"released"' ELSE '"lease_expired"' END,
    '{"kind":"sweeper"}', $4::text
  FROM back
)
SELECT id FROM back

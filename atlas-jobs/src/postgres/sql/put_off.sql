-- $1 ids, $2 numbers of the workers whose leases they are, $3 milliseconds. Jobs that can't be read go back to wait for so
-- long, as after a release: the attempt does not count, and a stop that was asked for is asked for again by whoever wants it.
-- No record is needed for that. One whose group is not there, or that someone else has locked, stays where it is.
WITH held AS MATERIALIZED (
  SELECT id FROM atlas_jobs_lease WHERE id = ANY($1::uuid[]) AND worker = ANY($2::int4[])
  ORDER BY id FOR UPDATE SKIP LOCKED
), back AS (
  DELETE FROM atlas_jobs_lease l USING atlas_jobs_job j, atlas_jobs_group g, atlas_jobs_worker w
  WHERE l.id = ANY (ARRAY(SELECT id FROM held)) AND j.id = l.id AND g.no = l.grp AND w.no = l.worker
  RETURNING l.id, l.version, l.epoch, l.started_at, l.grp, l.attempt, l.follows, l.claim_here, l.deadline, l.error,
    g.lane, j.priority, w.name, greatest(atlas_jobs_now(), l.started_at, l.updated_at) AS at
), deferred AS (
  INSERT INTO atlas_jobs_deferred (id, run_at, epoch, version, lane, grp, rank, attempt, follows, deadline, updated_at,
    started_at, error)
  SELECT id, atlas_jobs_now() + $3::int8, epoch, version + 1, lane, grp, -(priority::int4), greatest(attempt - 1, 0), follows,
    deadline, at, started_at, error
  FROM back
), counted AS (
  INSERT INTO atlas_jobs_move (grp, source, target, jobs) SELECT grp, 1, 0, count(*) FROM back GROUP BY grp
), told AS (
  INSERT INTO atlas_jobs_event (job, version, epoch, at, attempt, source, target, kind, actor)
  SELECT id, version, epoch, started_at, attempt, 0, 1, '"claimed"', json_build_object('kind', 'worker', 'id', name)::text
  FROM back WHERE claim_here
  UNION ALL
  SELECT id, version + 1, epoch, at, greatest(attempt - 1, 0), 1, 0, '"released"', '{"kind":"sweeper"}' FROM back
)
SELECT id FROM back

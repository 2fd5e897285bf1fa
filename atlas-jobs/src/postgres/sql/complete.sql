-- $1 worker, $2 ids in order, $3 epochs, $4 results one after another, $5 where each begins, $6 how long it is. The way of nearly
-- all outcomes: the holder of a lease has a result.
WITH worker AS MATERIALIZED (
  SELECT no, seen_at, json_build_object('kind', 'worker', 'id', name)::text AS actor
  FROM atlas_jobs_worker
  WHERE ctid = nullif(current_setting('atlas_jobs.worker', true), '')::tid AND name = $1 AND xact = pg_current_xact_id()
), ended AS (
  -- Each looked up by its key, whatever the planner believes of the size of a table that was analysed while it was empty.
  -- The ids are sorted, so that the place of one among them is found by halves, and with it its epoch and its result. An array of
  -- texts would be walked from its beginning for each.
  -- The worker is asked for once, not joined to each.
  DELETE FROM atlas_jobs_lease l
  WHERE EXISTS (SELECT FROM worker) AND l.id = ANY($2::uuid[]) AND l.epoch = ($3::int8[])[width_bucket(l.id, $2::uuid[])]
    -- What follows from its end can't be read here: the state machine says what does, and the others end all the same.
    AND CASE WHEN l.follows THEN (SELECT atlas_jobs_is_object(j.follow) FROM atlas_jobs_job j WHERE j.id = l.id) ELSE true END
  RETURNING l.id, l.version + 1 AS version, l.epoch, l.started_at,
    greatest((SELECT seen_at FROM worker), l.updated_at, l.started_at) AS finished_at, l.worker,
    l.worker = (SELECT no FROM worker) AS end_here, l.grp, l.attempt, l.follows,
    l.claim_here, l.run_at, l.deadline, l.progress, width_bucket(l.id, $2::uuid[]) AS place
), done AS (
  INSERT INTO atlas_jobs_done (id, version, epoch, finished_at, status, attempt, claim_here, end_here, worker,
    started_at, run_at, deadline, progress, result)
  SELECT id, version, epoch, finished_at, 2, attempt, claim_here, end_here, worker, started_at, run_at, deadline, progress,
    convert_from(substr($4::bytea, ($5::int4[])[place], ($6::int4[])[place]), 'UTF8')
  FROM ended
), batch AS MATERIALIZED (
  SELECT max(finished_at) AS at, array_agg(id) AS ids, array_agg(version) AS versions,
    bool_or(NOT end_here) AS any_told, bool_or(follows) AS any_follows
  FROM ended HAVING count(*) > 0
), listed AS (
  INSERT INTO atlas_jobs_ended (at, status, ids) SELECT at, 2, ids FROM batch
), counted AS (
  INSERT INTO atlas_jobs_move (grp, source, target, jobs, target_ms)
  SELECT grp, 1, 2, count(*), sum(finished_at - started_at) FROM ended GROUP BY grp
), told AS (
  -- Handed in by another than the holder: the row above names the holder only.
  INSERT INTO atlas_jobs_event (job, version, epoch, at, attempt, source, target, kind, actor)
  SELECT id, version, epoch, finished_at, attempt, 1, 2, '"completed"', actor FROM ended, worker
  WHERE (SELECT any_told FROM batch) AND NOT end_here
), posted AS (
  INSERT INTO atlas_jobs_outbox (job, version, topic, visible_at, fields, epoch, at, attempt, source, target, kind,
    actor, correlation_id)
  SELECT e.id, e.version, follow.key, e.finished_at, follow.value::text, e.epoch, e.finished_at, e.attempt, 1, 2,
    '"completed"', worker.actor, j.correlation_id
  FROM ended e, worker, LATERAL (SELECT follow, correlation_id FROM atlas_jobs_job WHERE id = e.id LIMIT 1) j,
    json_each(j.follow::json) follow
  WHERE (SELECT any_follows FROM batch) AND e.follows
  ON CONFLICT (job, version, topic) DO UPDATE SET tries = 0, visible_at = excluded.visible_at,
    fields = excluded.fields, epoch = excluded.epoch, at = excluded.at, attempt = excluded.attempt,
    source = excluded.source, target = excluded.target, kind = excluded.kind, actor = excluded.actor,
    reason = NULL, error = NULL, correlation_id = excluded.correlation_id
)
SELECT ids, versions FROM batch

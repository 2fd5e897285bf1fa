-- $1 one JSON object with the rows of some transitions: `leave` names those that go by their tables, the rest those that come.
WITH input AS MATERIALIZED (SELECT $1::text::json AS rows),
left_ready AS (DELETE FROM atlas_jobs_ready WHERE id = ANY (ARRAY(SELECT json_array_elements_text(rows -> 'leaveReady')::uuid FROM input))),
left_deferred AS (DELETE FROM atlas_jobs_deferred WHERE id = ANY (ARRAY(SELECT json_array_elements_text(rows -> 'leaveDeferred')::uuid FROM input))),
left_lease AS (DELETE FROM atlas_jobs_lease WHERE id = ANY (ARRAY(SELECT json_array_elements_text(rows -> 'leaveLease')::uuid FROM input))),
left_done AS (DELETE FROM atlas_jobs_done WHERE id = ANY (ARRAY(SELECT json_array_elements_text(rows -> 'leaveDone')::uuid FROM input))),
ready AS (INSERT INTO atlas_jobs_ready SELECT r.* FROM input, json_populate_recordset(NULL::atlas_jobs_ready, rows -> 'ready') r),
deferred AS (INSERT INTO atlas_jobs_deferred SELECT r.* FROM input, json_populate_recordset(NULL::atlas_jobs_deferred, rows -> 'deferred') r),
lease AS (INSERT INTO atlas_jobs_lease SELECT r.* FROM input, json_populate_recordset(NULL::atlas_jobs_lease, rows -> 'lease') r),
done AS (INSERT INTO atlas_jobs_done SELECT r.* FROM input, json_populate_recordset(NULL::atlas_jobs_done, rows -> 'done') r),
asked AS (
  -- A job that runs on, asked to stop.
  UPDATE atlas_jobs_lease l SET version = r.version, updated_at = r.updated_at, cancel_by = r.cancel_by, cancel = r.cancel, claim_here = false
  FROM input, json_populate_recordset(NULL::atlas_jobs_lease, rows -> 'asked') r WHERE l.id = r.id
),
event AS (INSERT INTO atlas_jobs_event SELECT r.* FROM input, json_populate_recordset(NULL::atlas_jobs_event, rows -> 'event') r),
move AS (INSERT INTO atlas_jobs_move SELECT r.* FROM input, json_populate_recordset(NULL::atlas_jobs_move, rows -> 'move') r),
ended AS (
  INSERT INTO atlas_jobs_ended (at, status, ids)
  SELECT max(r.finished_at), r.status, array_agg(r.id)
  FROM input, json_populate_recordset(NULL::atlas_jobs_done, rows -> 'done') r GROUP BY r.status
)
INSERT INTO atlas_jobs_outbox (job, version, topic, visible_at, fields, epoch, at, attempt, source, target, kind, actor, reason, error, correlation_id)
SELECT job, version, topic, visible_at, fields, epoch, at, attempt, source, target, kind, actor, reason, error, correlation_id
FROM input, json_populate_recordset(NULL::atlas_jobs_outbox, rows -> 'outbox') r
ON CONFLICT (job, version, topic) DO UPDATE SET tries = 0, visible_at = excluded.visible_at, fields = excluded.fields,
  epoch = excluded.epoch, at = excluded.at, attempt = excluded.attempt, source = excluded.source, target = excluded.target,
  kind = excluded.kind, actor = excluded.actor, reason = excluded.reason, error = excluded.error, correlation_id = excluded.correlation_id

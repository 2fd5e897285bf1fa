-- $1 worker, $2 beat, $3 lease in ms, $4 wanted queues, $5 where the last beat put the worker's row, or null. No row: the beat
-- does not rise.
WITH renewed AS (
  UPDATE atlas_jobs_worker
  SET beat = $2, lease_ms = $3, seen_at = atlas_jobs_now(), idle = false, xact = pg_current_xact_id()
  WHERE ctid = coalesce(
      (SELECT ctid FROM atlas_jobs_worker WHERE ctid = $5::text::tid AND name = $1),
      (SELECT ctid FROM atlas_jobs_worker WHERE name = $1)
    ) AND name = $1 AND beat < $2
  RETURNING no, ctid
), new AS (
  INSERT INTO atlas_jobs_worker (name, beat, lease_ms, seen_at, idle, xact)
  SELECT $1, $2, $3, atlas_jobs_now(), false, pg_current_xact_id()
  WHERE NOT EXISTS (SELECT FROM atlas_jobs_worker WHERE ctid = $5::text::tid AND name = $1)
    AND NOT EXISTS (SELECT FROM atlas_jobs_worker WHERE name = $1)
  ON CONFLICT DO NOTHING
  RETURNING no, ctid
)
SELECT no, atlas_jobs_now(),
  EXISTS (SELECT FROM atlas_jobs_queue WHERE queue = ANY($4::text[])
    AND (paused OR max_running IS NOT NULL OR max_per_second IS NOT NULL)),
  set_config('atlas_jobs.worker', ctid::text, true)
FROM (SELECT no, ctid FROM renewed UNION ALL SELECT no, ctid FROM new) worker

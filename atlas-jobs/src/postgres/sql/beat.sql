-- $1 worker, $2 beat, $3 lease in ms, $4 wanted queues. No row: the beat does not rise.
WITH renewed AS (
  UPDATE atlas_jobs_worker
  SET beat = $2, lease_ms = $3, seen_at = atlas_jobs_now(), idle = false, xact = pg_current_xact_id()
  WHERE name = $1 AND beat < $2
  RETURNING no
), new AS (
  INSERT INTO atlas_jobs_worker (name, beat, lease_ms, seen_at, idle, xact)
  SELECT $1, $2, $3, atlas_jobs_now(), false, pg_current_xact_id()
  WHERE NOT EXISTS (SELECT FROM atlas_jobs_worker WHERE name = $1)
  ON CONFLICT DO NOTHING
  RETURNING no
)
SELECT no, atlas_jobs_now(),
  EXISTS (SELECT FROM atlas_jobs_queue WHERE queue = ANY($4::text[])
    AND (paused OR max_running IS NOT NULL OR max_per_second IS NOT NULL))
FROM (SELECT no FROM renewed UNION ALL SELECT no FROM new) worker

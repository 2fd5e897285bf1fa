-- $1 the most. Jobs whose time has come move to where they are claimed.
WITH due AS (
  DELETE FROM atlas_jobs_deferred WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM atlas_jobs_deferred WHERE run_at <= atlas_jobs_now()
    ORDER BY run_at, id LIMIT $1 FOR UPDATE SKIP LOCKED))
  RETURNING *
)
INSERT INTO atlas_jobs_ready SELECT * FROM due

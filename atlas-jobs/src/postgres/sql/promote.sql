-- $1 the most, $2 from when on. Jobs whose time has come move to where they are claimed. Gives the time, and whether none is left
-- behind, as those are that another transaction is moving now.
WITH due AS (
  DELETE FROM atlas_jobs_deferred WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM atlas_jobs_deferred WHERE run_at BETWEEN $2 AND atlas_jobs_now()
    ORDER BY run_at, id LIMIT $1 FOR UPDATE SKIP LOCKED))
  RETURNING *
), moved AS (
  INSERT INTO atlas_jobs_ready SELECT * FROM due
)
SELECT atlas_jobs_now(), (SELECT count(*) FROM due) = (SELECT count(*) FROM (
  SELECT FROM atlas_jobs_deferred WHERE run_at BETWEEN $2 AND atlas_jobs_now() ORDER BY run_at, id LIMIT $1 + 1) seen)

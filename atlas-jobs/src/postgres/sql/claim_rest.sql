-- What follows `chosen` in every claim.
taken AS (
  -- The rows are locked and rows of this table are never updated: their places in the file can't change.
  DELETE FROM atlas_jobs_ready WHERE ctid = ANY (ARRAY(SELECT ctid FROM chosen))
  RETURNING id, version + 1 AS version, epoch + 1 AS epoch, (attempt + 1)::int2 AS attempt, grp, follows, run_at,
    updated_at, deadline, error
), lease AS (
  INSERT INTO atlas_jobs_lease (id, version, epoch, started_at, worker, grp, attempt, follows, claim_here, run_at,
    deadline, error)
  SELECT t.id, version, epoch, greatest(seen_at, updated_at), worker.no, grp, attempt, follows, true,
    CASE WHEN updated_at IS NOT NULL THEN run_at END, deadline, error
  FROM taken t, worker
), counted AS (
  INSERT INTO atlas_jobs_move (grp, source, target, jobs) SELECT grp, 0, 1, count(*) FROM taken GROUP BY grp
)

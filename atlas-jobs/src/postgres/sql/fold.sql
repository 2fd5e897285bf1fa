-- $1 the most. Brings the counts up to date; one at a time, and nobody waits. Gives how many rows it took.
WITH alone AS MATERIALIZED (
  SELECT pg_try_advisory_xact_lock(hashtextextended('atlas_jobs_fold', 'atlas_jobs_count'::regclass::oid::int8)) AS ok
), moved AS (
  DELETE FROM atlas_jobs_move WHERE ctid = ANY (ARRAY(SELECT ctid FROM atlas_jobs_move WHERE (SELECT ok FROM alone) LIMIT $1))
  RETURNING *
), change AS (
  SELECT grp, source AS status, -jobs AS jobs, -source_ms AS ms FROM moved WHERE source IS NOT NULL
  UNION ALL
  SELECT grp, target, jobs, target_ms FROM moved WHERE target IS NOT NULL
), counted AS (
  INSERT INTO atlas_jobs_count AS c (grp, status, jobs, ms)
  SELECT grp, status, sum(jobs), sum(ms) FROM change GROUP BY grp, status ORDER BY grp, status
  ON CONFLICT (grp, status) DO UPDATE SET jobs = c.jobs + excluded.jobs, ms = c.ms + excluded.ms
)
SELECT count(*) FROM moved

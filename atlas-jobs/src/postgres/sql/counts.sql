-- $1 tenant, $2 queue, $3 kind; null for any. What was folded and what was not, in one snapshot.
WITH change AS (
  SELECT grp, status, jobs, ms FROM atlas_jobs_count
  UNION ALL
  SELECT grp, source, -jobs, -source_ms FROM atlas_jobs_move WHERE source IS NOT NULL
  UNION ALL
  SELECT grp, target, jobs, target_ms FROM atlas_jobs_move WHERE target IS NOT NULL
)
SELECT l.queue, l.kind, c.status, sum(c.jobs)::int8, sum(c.ms)::int8
FROM change c JOIN atlas_jobs_group g ON g.no = c.grp JOIN atlas_jobs_lane l ON l.no = g.lane
WHERE ($1::text IS NULL OR g.tenant = $1) AND ($2::text IS NULL OR l.queue = $2) AND ($3::text IS NULL OR l.kind = $3)
GROUP BY l.queue, l.kind, c.status HAVING sum(c.jobs) > 0

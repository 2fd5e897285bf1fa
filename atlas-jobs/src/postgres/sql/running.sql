-- $1 queues. How many jobs of each run, by the counts.
WITH change AS (
  SELECT grp, jobs FROM atlas_jobs_count WHERE status = 1
  UNION ALL
  SELECT grp, -jobs FROM atlas_jobs_move WHERE source = 1
  UNION ALL
  SELECT grp, jobs FROM atlas_jobs_move WHERE target = 1
)
SELECT l.queue, sum(c.jobs)::int8
FROM change c JOIN atlas_jobs_group g ON g.no = c.grp JOIN atlas_jobs_lane l ON l.no = g.lane
WHERE l.queue = ANY($1::text[]) GROUP BY l.queue

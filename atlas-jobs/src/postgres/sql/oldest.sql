-- $1 queue, $2 kind. Jumps from lane to lane and from rank to rank along the index: no cost per job.
WITH RECURSIVE head AS (
  (SELECT lane, rank, run_at FROM atlas_jobs_ready ORDER BY lane, rank, run_at LIMIT 1)
  UNION ALL
  SELECT next.* FROM head CROSS JOIN LATERAL (
    SELECT lane, rank, run_at FROM atlas_jobs_ready WHERE (lane, rank) > (head.lane, head.rank)
    ORDER BY lane, rank, run_at LIMIT 1
  ) next
), pending AS (
  SELECT lane, run_at FROM head
  UNION ALL
  SELECT l.no, (SELECT run_at FROM atlas_jobs_deferred d WHERE d.lane = l.no ORDER BY run_at LIMIT 1)
  FROM atlas_jobs_lane l
)
SELECT min(p.run_at) FROM pending p JOIN atlas_jobs_lane l ON l.no = p.lane
WHERE ($1::text IS NULL OR l.queue = $1) AND ($2::text IS NULL OR l.kind = $2)

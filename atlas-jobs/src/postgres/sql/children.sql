-- $1 parent, $2 tenant, $3 queue, $4 kind.
SELECT l.queue, l.kind, s.status, count(*),
  coalesce(sum(greatest(s.finished_at - s.started_at, 0)), 0)::int8
FROM atlas_jobs_job j
JOIN atlas_jobs_group g ON g.no = j.grp JOIN atlas_jobs_lane l ON l.no = g.lane
CROSS JOIN LATERAL (SELECT status, started_at, finished_at FROM atlas_jobs_state WHERE id = j.id LIMIT 1) s
WHERE j.parent = $1 AND ($2::text IS NULL OR g.tenant = $2) AND ($3::text IS NULL OR l.queue = $3)
  AND ($4::text IS NULL OR l.kind = $4)
GROUP BY l.queue, l.kind, s.status

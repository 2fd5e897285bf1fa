-- $1 job, $2 after this version, $3 the most. One snapshot: events that rows of their own tell, and those that others do.
WITH job AS (
  SELECT j.id, j.created_at, j.correlation_id, coalesce((j.more::json -> 'actor')::text, '{"kind":"caller"}') AS actor,
    s.version, s.epoch, s.attempt, s.started_at, s.finished_at, s.claim_here, s.end_here,
    json_build_object('kind', 'worker', 'id', w.name)::text AS worker
  FROM atlas_jobs_job j
  CROSS JOIN LATERAL (SELECT * FROM atlas_jobs_state WHERE id = j.id LIMIT 1) s
  LEFT JOIN atlas_jobs_worker w ON w.no = s.worker
  WHERE j.id = $1
), event AS (
  SELECT e.version, e.epoch, e.attempt, e.at, e.actor, e.kind, e.source, e.target, e.reason, e.error
  FROM job JOIN atlas_jobs_event e ON e.job = job.id
  UNION ALL
  SELECT 1, 0, 0, created_at, actor, '"enqueued"', NULL, 0, NULL, NULL FROM job
  WHERE NOT EXISTS (SELECT FROM atlas_jobs_event e WHERE e.job = job.id AND e.version = 1)
  UNION ALL
  SELECT CASE WHEN finished_at IS NULL THEN version ELSE version - 1 END, epoch, attempt, started_at, worker, '"claimed"',
    0, 1, NULL, NULL FROM job WHERE claim_here
  UNION ALL
  SELECT version, epoch, attempt, finished_at, worker, '"completed"', 1, 2, NULL, NULL FROM job WHERE end_here
)
SELECT version, epoch, attempt::int2, at, actor, kind, source::int2, target::int2, reason, error, job.correlation_id
FROM event, (SELECT correlation_id FROM job) job
WHERE version > $2 ORDER BY version LIMIT $3

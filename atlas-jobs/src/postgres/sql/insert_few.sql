-- As `insert.sql`, for a few jobs that come as rows: so many arrays cost more than what they hold. A row without an id is no job.
WITH given AS MATERIALIZED (
  SELECT given.*, t.now FROM (SELECT atlas_jobs_now() AS now) t, (VALUES {rows})
    AS given (id, grp, lane, max_attempts, priority, schema_version, correlation_id, tenant, external_id, idempotency_key,
      parent, follow, more, at, deadline, payload)
  WHERE given.id IS NOT NULL AND (given.deadline IS NULL OR given.deadline > t.now)
), job AS (
  INSERT INTO atlas_jobs_job (id, created_at, grp, max_attempts, priority, schema_version, correlation_id, tenant,
    external_id, idempotency_key, parent, follow, more, payload)
  SELECT id, now, grp, max_attempts, priority, schema_version, correlation_id, tenant, external_id, idempotency_key,
    parent, follow, more, payload
  FROM given
  {if free}ON CONFLICT DO NOTHING RETURNING id{end}
), new AS (
  SELECT id, grp, lane, priority, deadline, follow IS NOT NULL AS follows, greatest(at, now) AS run_at, now
  FROM given {if free}WHERE (id IN (SELECT id FROM job)) IS TRUE{end}
),

-- $1 .. $16 the columns of new jobs. A key that is taken is an error, and nothing is written: the quick way, since most are free.
WITH job AS (
  INSERT INTO atlas_jobs_job (id, created_at, grp, max_attempts, priority, schema_version, correlation_id, tenant,
    external_id, idempotency_key, parent, follow, more, payload)
  SELECT id, t.now, grp, max_attempts, priority, schema_version, correlation_id, tenant, external_id, idempotency_key,
    parent, follow, more, payload
  FROM (SELECT atlas_jobs_now() AS now) t, unnest($1::uuid[], $2::int4[], $4::int2[], $5::int2[], $6::text[],
    $7::text[], $8::text[], $9::text[], $10::text[], $11::uuid[], $12::text[], $13::text[], $16::text[], $15::int8[])
    AS new (id, grp, max_attempts, priority, schema_version, correlation_id, tenant, external_id, idempotency_key,
      parent, follow, more, payload, deadline)
  WHERE new.deadline IS NULL OR new.deadline > t.now
), new AS (
  SELECT new.*, greatest(new.at, t.now) AS run_at, t.now
  FROM (SELECT atlas_jobs_now() AS now) t,
    unnest($1::uuid[], $2::int4[], $3::int4[], $5::int2[], $14::int8[], $15::int8[], $12::text[])
    AS new (id, grp, lane, priority, at, deadline, follow)
  WHERE new.deadline IS NULL OR new.deadline > t.now
), ready AS (
  INSERT INTO atlas_jobs_ready (id, run_at, version, epoch, lane, grp, rank, attempt, follows, deadline)
  SELECT id, run_at, 1, 0, lane, grp, -priority::int4, 0, follow IS NOT NULL, deadline FROM new WHERE run_at <= now
), deferred AS (
  INSERT INTO atlas_jobs_deferred (id, run_at, version, epoch, lane, grp, rank, attempt, follows, deadline, updated_at)
  SELECT id, run_at, 1, 0, lane, grp, -priority::int4, 0, follow IS NOT NULL, deadline, now FROM new WHERE run_at > now
), counted AS (
  INSERT INTO atlas_jobs_move (grp, target, jobs) SELECT grp, 0, count(*) FROM new GROUP BY grp
)
SELECT atlas_jobs_now(), ARRAY(SELECT id FROM new),
  CASE WHEN EXISTS (SELECT FROM new WHERE run_at <= now) THEN atlas_jobs_notify()::text END

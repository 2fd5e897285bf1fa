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
  SELECT id, grp, lane, priority, deadline, follow IS NOT NULL AS follows, greatest(new.at, t.now) AS run_at, t.now
  FROM (SELECT atlas_jobs_now() AS now) t,
    unnest($1::uuid[], $2::int4[], $3::int4[], $5::int2[], $14::int8[], $15::int8[], $12::text[])
    AS new (id, grp, lane, priority, at, deadline, follow)
  WHERE new.deadline IS NULL OR new.deadline > t.now
),

-- As `insert.sql`, but jobs whose keys are taken are left out.
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
  ON CONFLICT DO NOTHING
  RETURNING id
), new AS (
  SELECT id, grp, lane, priority, deadline, follow IS NOT NULL AS follows, greatest(new.at, t.now) AS run_at, t.now
  FROM (SELECT atlas_jobs_now() AS now) t,
    unnest($1::uuid[], $2::int4[], $3::int4[], $5::int2[], $14::int8[], $15::int8[], $12::text[])
    AS new (id, grp, lane, priority, at, deadline, follow)
  -- So it is a lookup in a hash table. As a join it would compare each with each: ours are made along indexes, and there is none.
  WHERE (new.id IN (SELECT id FROM job)) IS TRUE
),

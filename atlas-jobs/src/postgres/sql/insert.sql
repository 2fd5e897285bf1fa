-- $1 .. $16 the columns of new jobs. A key that is taken is an error, and nothing is written: the quick way, since most are free.
-- With what is marked `free`, jobs whose keys are taken are left out.
-- The arrays are read side by side: as functions in FROM each would first be copied whole. The time is not asked for once per row.
WITH job AS (
  INSERT INTO atlas_jobs_job (id, created_at, grp, max_attempts, priority, schema_version, correlation_id, tenant,
    external_id, idempotency_key, parent, follow, more, payload)
  SELECT id, (SELECT atlas_jobs_now()), grp, max_attempts, priority, schema_version, correlation_id, tenant, external_id,
    idempotency_key, parent, follow, more, payload
  FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::int4[]) AS grp, unnest($4::int2[]) AS max_attempts,
    unnest($5::int2[]) AS priority, unnest($6::text[]) AS schema_version, unnest($7::text[]) AS correlation_id,
    unnest($8::text[]) AS tenant, unnest($9::text[]) AS external_id, unnest($10::text[]) AS idempotency_key,
    unnest($11::uuid[]) AS parent, unnest($12::text[]) AS follow, unnest($13::text[]) AS more,
    unnest($16::text[]) AS payload, unnest($15::int8[]) AS deadline) new
  WHERE new.deadline IS NULL OR new.deadline > (SELECT atlas_jobs_now())
  {if free}ON CONFLICT DO NOTHING RETURNING id{end}
), new AS (
  SELECT id, grp, lane, priority, deadline, follow IS NOT NULL AS follows,
    greatest(new.at, (SELECT atlas_jobs_now())) AS run_at, (SELECT atlas_jobs_now()) AS now
  FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::int4[]) AS grp, unnest($3::int4[]) AS lane,
    unnest($5::int2[]) AS priority, unnest($14::int8[]) AS at, unnest($15::int8[]) AS deadline,
    unnest($12::text[]) AS follow) new
  WHERE (new.deadline IS NULL OR new.deadline > (SELECT atlas_jobs_now()))
  -- So it is a lookup in a hash table. As a join it would compare each with each: ours are made along indexes, and there is none.
  {if free}AND (new.id IN (SELECT id FROM job)) IS TRUE{end}
),

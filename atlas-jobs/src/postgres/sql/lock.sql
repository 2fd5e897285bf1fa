-- $1 ids. Locks the row that says where each job stands, table by table and in order of ids.
WITH ready AS MATERIALIZED (SELECT id FROM atlas_jobs_ready WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE),
  deferred AS MATERIALIZED (SELECT id FROM atlas_jobs_deferred WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE),
  lease AS MATERIALIZED (SELECT id FROM atlas_jobs_lease WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE),
  done AS MATERIALIZED (SELECT id FROM atlas_jobs_done WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE)
SELECT id, 0::int2 FROM ready UNION ALL SELECT id, 1::int2 FROM deferred
UNION ALL SELECT id, 2::int2 FROM lease UNION ALL SELECT id, 3::int2 FROM done

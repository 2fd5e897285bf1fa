-- $1 ids, locked and found to be unreadable. They go by their keys alone, with everything that is kept of them.
WITH ready AS (DELETE FROM atlas_jobs_ready WHERE id = ANY($1::uuid[]) RETURNING id, 0::int2 AS status, 0::int8 AS ms),
deferred AS (DELETE FROM atlas_jobs_deferred WHERE id = ANY($1::uuid[]) RETURNING id, 0::int2 AS status, 0::int8 AS ms),
lease AS (DELETE FROM atlas_jobs_lease WHERE id = ANY($1::uuid[]) RETURNING id, 1::int2 AS status, 0::int8 AS ms),
done AS (
  DELETE FROM atlas_jobs_done WHERE id = ANY($1::uuid[])
  RETURNING id, status, coalesce(greatest(finished_at - started_at, 0), 0) AS ms
), event AS (DELETE FROM atlas_jobs_event WHERE job = ANY($1::uuid[])),
job AS (DELETE FROM atlas_jobs_job WHERE id = ANY($1::uuid[]) RETURNING id, grp),
moved AS (
  INSERT INTO atlas_jobs_move (grp, source, jobs, source_ms)
  SELECT job.grp, place.status, count(*), sum(place.ms)
  FROM job JOIN (SELECT * FROM ready UNION ALL SELECT * FROM deferred UNION ALL SELECT * FROM lease UNION ALL SELECT * FROM done)
    place ON place.id = job.id
  GROUP BY job.grp, place.status
)
SELECT id FROM job

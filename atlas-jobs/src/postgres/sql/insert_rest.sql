-- What follows `new`, the jobs that get in, in every insert.
ready AS (
  INSERT INTO atlas_jobs_ready (id, run_at, version, epoch, lane, grp, rank, attempt, follows, deadline)
  SELECT id, run_at, 1, 0, lane, grp, -priority::int4, 0, follows, deadline FROM new WHERE run_at <= now
), deferred AS (
  INSERT INTO atlas_jobs_deferred (id, run_at, version, epoch, lane, grp, rank, attempt, follows, deadline, updated_at)
  SELECT id, run_at, 1, 0, lane, grp, -priority::int4, 0, follows, deadline, now FROM new WHERE run_at > now
), counted AS (
  INSERT INTO atlas_jobs_move (grp, target, jobs) SELECT grp, 0, count(*) FROM new GROUP BY grp
)
-- As the function `atlas_jobs_notify` does, which would be planned again by each call. Who comes to listen while this waits for a key
-- is not seen, and finds the job by itself a little later.
SELECT atlas_jobs_now(), ARRAY(SELECT id FROM new){if told},
  CASE WHEN EXISTS (SELECT FROM new WHERE run_at <= now)
    AND EXISTS (SELECT FROM atlas_jobs_listener WHERE seen_at > atlas_jobs_now() - 90000)
  THEN pg_notify('atlas_jobs', '')::text END{end}

-- $1 worker, $2 limit, $3 queue, $4 kind, $5 to $10 the pieces of its index that are looked at, in order. The common claim: one queue that nobody controls, one kind.
WITH worker AS MATERIALIZED (
  SELECT no, seen_at FROM atlas_jobs_worker
  WHERE ctid = nullif(current_setting('atlas_jobs.worker', true), '')::tid AND name = $1 AND xact = pg_current_xact_id()
    AND NOT EXISTS (SELECT FROM atlas_jobs_queue WHERE queue = $3
      AND (paused OR max_running IS NOT NULL OR max_per_second IS NOT NULL))
), chosen AS MATERIALIZED (
  SELECT r.ctid FROM unnest($5::int4[], $6::int8[], $7::uuid[], $8::int4[], $9::int8[], $10::uuid[])
      AS piece (rank, run_at, id, to_rank, to_run_at, to_id), LATERAL (
    SELECT r.ctid FROM atlas_jobs_ready r
    WHERE r.lane = (SELECT no FROM atlas_jobs_lane WHERE queue = $3 AND kind = $4)
      AND (r.rank, r.run_at, r.id) >= (piece.rank, piece.run_at, piece.id)
      AND (r.rank, r.run_at, r.id) < (piece.to_rank, piece.to_run_at, piece.to_id)
      AND r.run_at <= (SELECT seen_at FROM worker)
      AND (r.deadline IS NULL OR r.deadline > (SELECT seen_at FROM worker))
    ORDER BY r.rank, r.run_at, r.id LIMIT $2 FOR UPDATE SKIP LOCKED
  ) r LIMIT $2
),

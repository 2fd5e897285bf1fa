-- $1 worker, $2 limit, $3 queues, $4 kinds, $5 how many of each queue may run, $6 whether controlled queues are among
-- them, $7 to $14 the pieces of the lanes' indexes that are looked at, lane by lane and in order.
WITH worker AS MATERIALIZED (
  SELECT no, seen_at FROM atlas_jobs_worker
  WHERE ctid = nullif(current_setting('atlas_jobs.worker', true), '')::tid AND name = $1 AND xact = pg_current_xact_id()
    AND ($6 OR NOT EXISTS (SELECT FROM atlas_jobs_queue WHERE queue = ANY($3::text[])
      AND (paused OR max_running IS NOT NULL OR max_per_second IS NOT NULL)))
), lane AS MATERIALIZED (
  SELECT l.no, l.queue, l.kind, room.room FROM unnest($3::text[], $5::int8[]) AS room (queue, room)
  JOIN atlas_jobs_lane l ON l.queue = room.queue AND l.kind = ANY($4::text[])
), piece AS MATERIALIZED (
  SELECT * FROM unnest($7::text[], $8::text[], $9::int4[], $10::int8[], $11::uuid[], $12::int4[], $13::int8[], $14::uuid[])
    AS piece (queue, kind, rank, run_at, id, to_rank, to_run_at, to_id)
), place AS (
  -- The first of each lane, whoever holds them.
  SELECT lane.no AS lane, lane.room, r.rank, r.run_at, r.id,
    row_number() OVER (PARTITION BY lane.queue ORDER BY r.rank, r.run_at, r.id) AS place
  FROM lane, LATERAL (
    SELECT r.rank, r.run_at, r.id FROM piece, LATERAL (
      SELECT r.rank, r.run_at, r.id FROM atlas_jobs_ready r
      WHERE r.lane = lane.no AND (r.rank, r.run_at, r.id) >= (piece.rank, piece.run_at, piece.id)
        AND (r.rank, r.run_at, r.id) < (piece.to_rank, piece.to_run_at, piece.to_id)
        AND r.run_at <= (SELECT seen_at FROM worker)
        AND (r.deadline IS NULL OR r.deadline > (SELECT seen_at FROM worker))
      ORDER BY r.rank, r.run_at, r.id LIMIT least(lane.room, $2)
    ) r WHERE piece.queue = lane.queue AND piece.kind = lane.kind LIMIT least(lane.room, $2)
  ) r
), share AS MATERIALIZED (
  SELECT lane, count(*) AS jobs FROM (
    SELECT lane FROM place WHERE place <= room ORDER BY rank, run_at, id LIMIT $2
  ) best GROUP BY lane
), chosen AS MATERIALIZED (
  SELECT r.ctid FROM share JOIN lane ON lane.no = share.lane, LATERAL (
    SELECT r.ctid FROM piece, LATERAL (
      SELECT r.ctid FROM atlas_jobs_ready r
      WHERE r.lane = lane.no AND (r.rank, r.run_at, r.id) >= (piece.rank, piece.run_at, piece.id)
        AND (r.rank, r.run_at, r.id) < (piece.to_rank, piece.to_run_at, piece.to_id)
        AND r.run_at <= (SELECT seen_at FROM worker)
        AND (r.deadline IS NULL OR r.deadline > (SELECT seen_at FROM worker))
      ORDER BY r.rank, r.run_at, r.id LIMIT share.jobs FOR UPDATE SKIP LOCKED
    ) r WHERE piece.queue = lane.queue AND piece.kind = lane.kind LIMIT share.jobs
  ) r
),

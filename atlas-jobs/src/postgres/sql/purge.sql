-- $1 status, $2 ended before, $3 the most, $4 ended so long ago by the database's clock at the least. Takes the oldest lists of
-- jobs that ended together, and gives their ids. A list that is longer than what is left of the limit is cut: its first jobs
-- come now, the rest stays.
WITH oldest AS MATERIALIZED (
  SELECT status, at, no, ids FROM atlas_jobs_ended WHERE status = $1 AND at < least($2, atlas_jobs_now() - $4)
  ORDER BY at, no LIMIT $3 FOR UPDATE SKIP LOCKED
), sized AS (
  SELECT *, sum(cardinality(ids)) OVER (ORDER BY at, no) AS upto FROM oldest
), taken AS MATERIALIZED (
  SELECT *, least(cardinality(ids), $3 - (upto - cardinality(ids)))::int4 AS part FROM sized
  WHERE upto - cardinality(ids) < $3
), gone AS (
  DELETE FROM atlas_jobs_ended e USING taken t
  WHERE e.status = t.status AND e.at = t.at AND e.no = t.no AND t.part = cardinality(t.ids)
), cut AS (
  UPDATE atlas_jobs_ended e SET ids = t.ids[t.part + 1:] FROM taken t
  WHERE e.status = t.status AND e.at = t.at AND e.no = t.no AND t.part < cardinality(t.ids)
)
SELECT unnest(ids[1:part]) FROM taken

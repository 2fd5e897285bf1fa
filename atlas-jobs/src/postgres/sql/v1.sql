-- Step 1: all tables. Times are milliseconds since 1970, statuses the places in `JobStatus::ALL`.
CREATE FUNCTION atlas_jobs_now() RETURNS int8 LANGUAGE sql STABLE PARALLEL SAFE
  RETURN floor(extract(epoch FROM now()) * 1000)::int8;

-- A queue and a kind: what a claim names, and what leads the index of ready jobs.
CREATE TABLE atlas_jobs_lane (
  no int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  queue text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  UNIQUE (queue, kind)
);
-- A lane of one tenant: what is counted.
CREATE TABLE atlas_jobs_group (
  no int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  lane int4 NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  UNIQUE (lane, tenant)
);

-- The job itself never changes and may be large. What changes is narrow and elsewhere: a job that is there has exactly one
-- row in `ready`, `deferred`, `lease` or `done`.
CREATE TABLE atlas_jobs_job (
  id uuid NOT NULL PRIMARY KEY,
  created_at int8 NOT NULL,
  grp int4 NOT NULL,
  max_attempts int2 NOT NULL,
  priority int2 NOT NULL,
  schema_version text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C" NOT NULL,
  tenant text COLLATE "C" NOT NULL,
  external_id text COLLATE "C",
  idempotency_key text COLLATE "C",
  parent uuid,
  -- What follows from its end: a JSON object from outbox topic to its fields.
  follow text,
  -- What few jobs have: a JSON object.
  more text,
  payload text NOT NULL
) WITH (toast_tuple_target = 4080);
CREATE INDEX atlas_jobs_job_time ON atlas_jobs_job (created_at, id);
CREATE INDEX atlas_jobs_job_tenant ON atlas_jobs_job (tenant, created_at, id);
CREATE INDEX atlas_jobs_job_parent ON atlas_jobs_job (parent, created_at, id) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX atlas_jobs_job_external ON atlas_jobs_job (tenant, external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX atlas_jobs_job_key ON atlas_jobs_job (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Jobs that are due: the primary key is the queue. `updated_at` is null as long as nothing happened since the job was made.
CREATE TABLE atlas_jobs_ready (
  id uuid NOT NULL,
  run_at int8 NOT NULL,
  epoch int8 NOT NULL,
  version int4 NOT NULL,
  lane int4 NOT NULL,
  grp int4 NOT NULL,
  rank int4 NOT NULL,
  attempt int2 NOT NULL,
  follows bool NOT NULL,
  deadline int8,
  updated_at int8,
  started_at int8,
  progress text,
  error text,
  PRIMARY KEY (lane, rank, run_at, id)
);
CREATE UNIQUE INDEX atlas_jobs_ready_id ON atlas_jobs_ready (id);
CREATE INDEX atlas_jobs_ready_deadline ON atlas_jobs_ready (deadline) WHERE deadline IS NOT NULL;

-- Jobs whose time has not come. They move to `ready` in batches, so that none stands in front of a job that is due.
CREATE TABLE atlas_jobs_deferred (LIKE atlas_jobs_ready, PRIMARY KEY (id));
CREATE INDEX atlas_jobs_deferred_run ON atlas_jobs_deferred (run_at, id);
CREATE INDEX atlas_jobs_deferred_lane ON atlas_jobs_deferred (lane, run_at);
CREATE INDEX atlas_jobs_deferred_deadline ON atlas_jobs_deferred (deadline) WHERE deadline IS NOT NULL;

-- Jobs that run. `run_at` is null if it is the time the job was made, `updated_at` if nothing happened since the claim.
CREATE TABLE atlas_jobs_lease (
  id uuid NOT NULL PRIMARY KEY,
  epoch int8 NOT NULL,
  started_at int8 NOT NULL,
  version int4 NOT NULL,
  worker int4 NOT NULL,
  grp int4 NOT NULL,
  attempt int2 NOT NULL,
  follows bool NOT NULL,
  -- The event of the claim is this row; else it stands in `event`.
  claim_here bool NOT NULL,
  run_at int8,
  deadline int8,
  updated_at int8,
  cancel_by int8,
  lease_end int8,
  cancel text,
  progress text,
  error text
);
CREATE INDEX atlas_jobs_lease_deadline ON atlas_jobs_lease (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX atlas_jobs_lease_cancel ON atlas_jobs_lease (cancel_by) WHERE cancel_by IS NOT NULL;

-- Jobs that ended: only ever inserted, and deleted by a purge or a redrive.
CREATE TABLE atlas_jobs_done (
  id uuid NOT NULL PRIMARY KEY,
  epoch int8 NOT NULL,
  finished_at int8 NOT NULL,
  version int4 NOT NULL,
  status int2 NOT NULL,
  attempt int2 NOT NULL,
  claim_here bool NOT NULL,
  -- The event of the end is this row; else it stands in `event`.
  end_here bool NOT NULL,
  worker int4,
  started_at int8,
  run_at int8,
  deadline int8,
  updated_at int8,
  cancel text,
  progress text,
  error text,
  -- Large ones are kept out of line by the server itself.
  result text
);
-- Which jobs ended together: the audit trail of completions in one row per batch, and the way to those to be purged. Ids of
-- jobs that are gone or run again may be among them.
CREATE TABLE atlas_jobs_ended (
  no int8 GENERATED ALWAYS AS IDENTITY,
  at int8 NOT NULL,
  status int2 NOT NULL,
  ids uuid[] NOT NULL,
  PRIMARY KEY (status, at, no)
);
-- Events that no other row tells.
CREATE TABLE atlas_jobs_event (
  job uuid NOT NULL,
  version int8 NOT NULL,
  epoch int8 NOT NULL,
  at int8 NOT NULL,
  attempt int2 NOT NULL,
  source int2,
  target int2 NOT NULL,
  kind text NOT NULL,
  actor text NOT NULL,
  reason text,
  error text,
  PRIMARY KEY (job, version)
);

CREATE TABLE atlas_jobs_outbox (
  seq int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job uuid NOT NULL,
  version int8 NOT NULL,
  topic text COLLATE "C" NOT NULL,
  tries int4 NOT NULL DEFAULT 0,
  visible_at int8 NOT NULL,
  -- The fields of the topic.
  fields text NOT NULL,
  epoch int8 NOT NULL,
  at int8 NOT NULL,
  attempt int2 NOT NULL,
  source int2,
  target int2 NOT NULL,
  kind text NOT NULL,
  actor text NOT NULL,
  reason text,
  error text,
  correlation_id text NOT NULL,
  UNIQUE (job, version, topic)
);
CREATE INDEX atlas_jobs_outbox_due ON atlas_jobs_outbox (topic, visible_at, seq);

-- Counts, and what has changed since they were brought up to date: a batch adds a row and locks none.
CREATE TABLE atlas_jobs_count (
  grp int4 NOT NULL,
  status int2 NOT NULL,
  jobs int8 NOT NULL,
  ms int8 NOT NULL,
  PRIMARY KEY (grp, status)
);
CREATE TABLE atlas_jobs_move (
  grp int4 NOT NULL,
  source int2,
  target int2,
  jobs int8 NOT NULL,
  source_ms int8 NOT NULL DEFAULT 0,
  target_ms int8 NOT NULL DEFAULT 0
);

-- One row per worker process, written at each beat in place: no index holds what changes. Rows stay, since `lease` and `done`
-- name workers by their number.
CREATE TABLE atlas_jobs_worker (
  no int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  beat int8 NOT NULL,
  lease_ms int8 NOT NULL,
  seen_at int8 NOT NULL,
  -- The transaction of the last beat: what else it does checks by this that the beat was accepted.
  xact xid8 NOT NULL,
  -- It is silent and holds nothing: sweeps need not look at it again.
  idle bool NOT NULL,
  name text COLLATE "C" NOT NULL UNIQUE
) WITH (fillfactor = 50);
CREATE INDEX atlas_jobs_worker_busy ON atlas_jobs_worker (no) WHERE NOT idle;

CREATE TABLE atlas_jobs_queue (
  queue text COLLATE "C" NOT NULL PRIMARY KEY,
  paused bool NOT NULL,
  max_running int8,
  max_per_second int8,
  pace_left int8,
  pace_at int8
);

-- Where a job stands, whichever table says so.
CREATE VIEW atlas_jobs_state AS
SELECT id, 0::int2 AS place, 0::int2 AS status, version::int8, epoch, attempt, run_at, deadline, updated_at, started_at,
  NULL::int8 AS finished_at, NULL::int4 AS worker, NULL::int8 AS lease_end, false AS claim_here, false AS end_here,
  NULL::text AS cancel, progress, error, NULL::text AS result
FROM atlas_jobs_ready
UNION ALL
SELECT id, 1::int2, 0::int2, version::int8, epoch, attempt, run_at, deadline, updated_at, started_at,
  NULL, NULL, NULL, false, false, NULL, progress, error, NULL
FROM atlas_jobs_deferred
UNION ALL
SELECT id, 2::int2, 1::int2, version::int8, epoch, attempt, run_at, deadline, coalesce(updated_at, started_at), started_at,
  NULL, worker, lease_end, claim_here, false, cancel, progress, error, NULL
FROM atlas_jobs_lease
UNION ALL
SELECT id, 3::int2, status, version::int8, epoch, attempt, run_at, deadline, coalesce(updated_at, finished_at), started_at,
  finished_at, worker, NULL, claim_here, end_here, cancel, progress, error, result
FROM atlas_jobs_done;

-- Ids hardly compress, and trying costs a microsecond for each of them.
ALTER TABLE atlas_jobs_ended ALTER COLUMN ids SET STORAGE EXTERNAL;

-- Rows come and go here all the time: the server should look early, and not pause while it cleans.
ALTER TABLE atlas_jobs_ready SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE atlas_jobs_lease SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE atlas_jobs_deferred SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE atlas_jobs_move SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE atlas_jobs_worker SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

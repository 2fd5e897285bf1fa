-- Step 3: whether a text can be taken for a JSON object, so that one damaged row fails no statement over many; and the function of
-- step 2, which refuses the kinds that have ways of their own, tells whose job a callback is about, and gets past a damaged job that
-- holds its key.
SELECT set_config('search_path', format('%I, pg_temp', n.nspname), true)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'atlas_jobs_meta'::regclass;
CREATE OR REPLACE FUNCTION atlas_jobs_is_object(value text) RETURNS bool LANGUAGE plpgsql IMMUTABLE STRICT AS $function$
BEGIN
  RETURN json_typeof(value::json) = 'object';
EXCEPTION WHEN data_exception THEN
  RETURN false;
END $function$;

-- Enqueues one job in the caller's transaction, from any driver or language: the job is there once that commits, or never.
--
--   SELECT * FROM atlas_jobs_enqueue('greet', '{"name": "Ann"}', idempotency_key => 'greet:ann');
--
-- `outcome` is `created`, `existing` (the same key with the same work: `job` is the one that is there) or `conflict` (the same
-- key with other work: `differs` is the first field that differs, or `unreadable record` if the job that is there is damaged; nothing
-- was written). What is outside its limits is an
-- error of class 22023, which ends the transaction like any other.
--
-- It works on the tables beside it, whatever the caller's search path: for as long as it is made, and then in each call, the
-- path is that of the tables.
CREATE OR REPLACE FUNCTION atlas_jobs_enqueue(
  kind text, payload jsonb, queue text DEFAULT 'default', tenant text DEFAULT 'default',
  idempotency_key text DEFAULT NULL, priority int DEFAULT 0, run_at timestamptz DEFAULT NULL,
  max_attempts int DEFAULT 5, deadline timestamptz DEFAULT NULL, id uuid DEFAULT NULL, external_id text DEFAULT NULL,
  correlation_id text DEFAULT NULL, callback text DEFAULT NULL,
  OUT job uuid, OUT outcome text, OUT differs text
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
#variable_conflict use_variable
DECLARE
  now_ms int8 := atlas_jobs_now();
  last int8 := 253402300799999;
  -- Cut to what a number takes: a time may be infinite.
  due int8 := greatest(least(floor(extract(epoch FROM coalesce(run_at, '-infinity')) * 1000), last + 1), now_ms);
  until int8 := CASE WHEN deadline IS NOT NULL THEN greatest(least(floor(extract(epoch FROM deadline) * 1000), last + 1), 0) END;
  body text := payload::text;
  lane_no int4;
  grp_no int4;
  depth int4 := 0;
  part text;
  old record;
BEGIN
  IF kind IS NULL OR kind !~ '^[a-z0-9_.-]{1,64}$' OR queue IS NULL OR queue !~ '^[a-z0-9_.-]{1,64}$' THEN
    RAISE EXCEPTION 'kind and queue must be 1 to 64 characters of a-z, 0-9, dot, dash and underscore' USING ERRCODE = '22023';
  ELSIF kind IN ('batch', 'schedule', 'schedule.tick') THEN
    RAISE EXCEPTION 'batches and schedules are made by the manager: name another kind' USING ERRCODE = '22023';
  ELSIF tenant IS NULL OR tenant !~ '^[a-zA-Z0-9_-]{1,64}$' OR correlation_id !~ '^[a-zA-Z0-9_-]{1,64}$'
    OR external_id !~ '^[a-zA-Z0-9_-]{1,128}$' THEN
    RAISE EXCEPTION 'tenant and correlation_id must be 1 to 64, external_id 1 to 128 characters of a-z, A-Z, 0-9, dash and underscore' USING ERRCODE = '22023';
  ELSIF idempotency_key !~ '^[!-~]{1,255}$' THEN
    RAISE EXCEPTION 'idempotency_key must be 1 to 255 printable ASCII characters without blanks' USING ERRCODE = '22023';
  ELSIF callback !~ '^https?://[!-~]*$' OR length(callback) NOT BETWEEN 8 AND 2048 THEN
    RAISE EXCEPTION 'callback must be an absolute http or https address of 8 to 2048 characters' USING ERRCODE = '22023';
  ELSIF priority IS NULL OR priority NOT BETWEEN -32768 AND 32767 OR max_attempts IS NULL
    OR max_attempts NOT BETWEEN 1 AND 1000 THEN
    RAISE EXCEPTION 'priority must be -32768 to 32767 and max_attempts 1 to 1000' USING ERRCODE = '22023';
  ELSIF until <= now_ms OR until > last OR due > last THEN
    RAISE EXCEPTION 'deadline must be in the future, and both times before the year 10000' USING ERRCODE = '22023';
  ELSIF body IS NULL OR octet_length(body) > 1048576 THEN
    RAISE EXCEPTION 'payload must be at most 1048576 bytes of JSON' USING ERRCODE = '22023';
  ELSIF jsonb_path_exists(payload, '$.** ? (@.type() == "number" && (@ > 1.797e308 || @ < -1.797e308))') THEN
    RAISE EXCEPTION 'payload holds a number that other readers of JSON can not take' USING ERRCODE = '22023';
  END IF;
  -- Brackets outside strings, in order: no reader takes what nests deeper than 126 levels.
  IF length(body) - length(translate(body, '[{', '')) > 126 THEN
    FOR part IN SELECT m[1] FROM regexp_matches(regexp_replace(body, '"(\\.|[^"\\])*"', '', 'g'), '[][{}]', 'g') m LOOP
      depth := depth + CASE WHEN part IN ('[', '{') THEN 1 ELSE -1 END;
      IF depth > 126 THEN
        RAISE EXCEPTION 'payload must have at most 126 levels of arrays and objects' USING ERRCODE = '22023';
      END IF;
    END LOOP;
  END IF;

  LOOP
    SELECT l.no INTO lane_no FROM atlas_jobs_lane l WHERE l.queue = atlas_jobs_enqueue.queue AND l.kind = atlas_jobs_enqueue.kind;
    EXIT WHEN FOUND;
    INSERT INTO atlas_jobs_lane (queue, kind) VALUES (queue, kind) ON CONFLICT DO NOTHING;
  END LOOP;
  LOOP
    SELECT g.no INTO grp_no FROM atlas_jobs_group g WHERE g.lane = lane_no AND g.tenant = atlas_jobs_enqueue.tenant;
    EXIT WHEN FOUND;
    INSERT INTO atlas_jobs_group (lane, tenant) VALUES (lane_no, tenant) ON CONFLICT DO NOTHING;
  END LOOP;
  -- Version 7, as ours are: ids sort by time.
  job := coalesce(id, encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    PLACING substring(int8send(now_ms) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid);

  LOOP
    INSERT INTO atlas_jobs_job (id, created_at, grp, max_attempts, priority, schema_version, correlation_id, tenant,
      external_id, idempotency_key, follow, more, payload)
    VALUES (job, now_ms, grp_no, max_attempts, priority, '1.0.0',
      coalesce(correlation_id, replace(gen_random_uuid()::text, '-', '')), tenant, external_id, idempotency_key,
      CASE WHEN callback IS NOT NULL THEN json_build_object('callback', json_build_object('url', callback, 'tenant', tenant))::text END,
      CASE WHEN callback IS NOT NULL THEN json_build_object('callback', json_build_object('url', callback))::text END,
      body)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
      IF due <= now_ms THEN
        INSERT INTO atlas_jobs_ready (id, run_at, version, epoch, lane, grp, rank, attempt, follows, deadline)
        VALUES (job, due, 1, 0, lane_no, grp_no, -priority, 0, callback IS NOT NULL, until);
        PERFORM atlas_jobs_notify();
      ELSE
        INSERT INTO atlas_jobs_deferred (id, run_at, version, epoch, lane, grp, rank, attempt, follows, deadline, updated_at)
        VALUES (job, due, 1, 0, lane_no, grp_no, -priority, 0, callback IS NOT NULL, until, now_ms);
      END IF;
      INSERT INTO atlas_jobs_move (grp, target, jobs) VALUES (grp_no, 0, 1);
      outcome := 'created';
      RETURN;
    END IF;
    SELECT j.id, j.tenant, l.kind, l.queue, j.payload, j.more INTO old
    FROM atlas_jobs_job j LEFT JOIN atlas_jobs_group g ON g.no = j.grp LEFT JOIN atlas_jobs_lane l ON l.no = g.lane
    WHERE j.id = coalesce(
      (SELECT k.id FROM atlas_jobs_job k WHERE k.tenant = atlas_jobs_enqueue.tenant AND k.idempotency_key = atlas_jobs_enqueue.idempotency_key),
      (SELECT k.id FROM atlas_jobs_job k WHERE k.id = atlas_jobs_enqueue.id),
      (SELECT k.id FROM atlas_jobs_job k WHERE k.tenant = atlas_jobs_enqueue.tenant AND k.external_id = atlas_jobs_enqueue.external_id));
    -- Not found: it was purged in between, and the key is free by now.
    CONTINUE WHEN NOT FOUND;
    job := old.id;
    IF old.kind IS NULL OR NOT atlas_jobs_is_object(coalesce(old.more, '{}')) THEN
      differs := 'unreadable record';
    ELSE
      BEGIN
        differs := CASE WHEN old.tenant <> tenant THEN 'tenant' WHEN old.kind <> kind THEN 'kind'
          WHEN old.queue <> queue THEN 'queue' WHEN old.payload::jsonb <> payload THEN 'payload' END;
      EXCEPTION
        WHEN invalid_text_representation THEN differs := 'unreadable record';
        -- What the other one holds has no such form.
        WHEN data_exception THEN differs := 'payload';
      END;
    END IF;
    outcome := CASE WHEN differs IS NULL THEN 'existing' ELSE 'conflict' END;
    RETURN;
  END LOOP;
END $function$;

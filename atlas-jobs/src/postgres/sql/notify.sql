-- Who wants to hear of new jobs says so here, and again every half minute: sending has its price, so nothing is sent to nobody.
CREATE TABLE atlas_jobs_listener (
  no int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  seen_at int8 NOT NULL
) WITH (fillfactor = 50);
-- Tells those who listen that there may be work, once the transaction commits. The server sends equal ones once.
CREATE FUNCTION atlas_jobs_notify() RETURNS void LANGUAGE sql AS $function$
  SELECT pg_notify('atlas_jobs', '') WHERE EXISTS (SELECT FROM atlas_jobs_listener WHERE seen_at > atlas_jobs_now() - 90000)
$function$;

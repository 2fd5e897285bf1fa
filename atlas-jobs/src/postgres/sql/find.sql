-- $1 tenants, $2 keys, $3 ids, $4 external ids: which jobs hold them, looked for in that order. One row per question.
SELECT wanted.no, coalesce(
  (SELECT id FROM atlas_jobs_job WHERE tenant = wanted.tenant AND idempotency_key = wanted.key AND idempotency_key IS NOT NULL),
  (SELECT id FROM atlas_jobs_job WHERE id = wanted.id),
  (SELECT id FROM atlas_jobs_job WHERE tenant = wanted.tenant AND external_id = wanted.external AND external_id IS NOT NULL)
)
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[]) WITH ORDINALITY AS wanted (tenant, key, id, external, no)
ORDER BY wanted.no

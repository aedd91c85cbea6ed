-- name: create
INSERT INTO accounts (external_id, name, email, plan) VALUES ($1, $2, $3, $4)
RETURNING id, external_id, name, email, plan, shard, status, aseq, cseq_head, cseq_applied, created_at, updated_at

-- name: put_new
INSERT INTO accounts (external_id, name, email, plan)
VALUES ($1, coalesce($2, ''), coalesce($3, ''), coalesce($4, ''))
ON CONFLICT (external_id) DO NOTHING
RETURNING id, external_id, name, email, plan, shard, status, aseq, cseq_head, cseq_applied, created_at, updated_at

-- name: put_change
UPDATE accounts
   SET name = coalesce($2, name), email = coalesce($3, email), plan = coalesce($4, plan), updated_at = now()
 WHERE external_id = $1
   AND (name, email, plan) IS DISTINCT FROM (coalesce($2, name), coalesce($3, email), coalesce($4, plan))
RETURNING id, external_id, name, email, plan, shard, status, aseq, cseq_head, cseq_applied, created_at, updated_at

-- name: set_plan
UPDATE accounts SET plan = $2, updated_at = now()
 WHERE id = $1 AND plan <> $2
RETURNING id, external_id, name, email, plan, shard, status, aseq, cseq_head, cseq_applied, created_at, updated_at

-- name: by_id
SELECT id, external_id, name, email, plan, shard, status, aseq, cseq_head, cseq_applied, created_at, updated_at
  FROM accounts WHERE id = $1

-- name: by_ids
SELECT id, external_id, name, email, plan, shard, status, aseq, cseq_head, cseq_applied, created_at, updated_at
  FROM accounts WHERE id = ANY ($1::bigint[]) ORDER BY id

-- name: by_external_id
SELECT id, external_id, name, email, plan, shard, status, aseq, cseq_head, cseq_applied, created_at, updated_at
  FROM accounts WHERE external_id = $1

-- name: search
SELECT id, external_id, name, email, plan, shard, status, aseq, cseq_head, cseq_applied, created_at, updated_at
  FROM accounts
 WHERE id > $2 AND ($1 = '%%' OR external_id ILIKE $1 OR name ILIKE $1 OR email ILIKE $1 OR id = $4)
 ORDER BY id
 LIMIT $3

-- name: release
UPDATE accounts SET status = 2, updated_at = now() WHERE id = $1 AND status = 3 RETURNING true

-- name: balances
SELECT t.id AS credit_type_id, t.name AS credit_type, t.scale,
       coalesce(p.remaining - p.debt, 0) - coalesce(l.remaining, 0)::bigint AS available, coalesce(p.held, 0) AS held, coalesce(p.debt, 0) AS debt,
       coalesce(p.granted, 0) AS granted,
       coalesce((SELECT sum(m.amount) FROM movements m
                  WHERE m.account_id = $1 AND m.credit_type_id = t.id AND m.kind IN ('purchase', 'subscription')), 0)::bigint AS purchased,
       coalesce(p.captured, 0) AS used, coalesce(p.refunded, 0) AS refunded,
       coalesce(p.expired, 0) AS expired, coalesce(p.clawed, 0) AS clawed_back,
       coalesce(g.scheduled, 0)::bigint AS scheduled, coalesce(g.expiring, 0)::bigint AS expiring,
       to_timestamp(g.expires_ms / 1000.0) AS expires_at, coalesce(l.each, '[]') AS limited
  FROM credit_types t
  LEFT JOIN pools p ON p.account_id = $1 AND p.credit_type_id = t.id
  LEFT JOIN LATERAL (
       SELECT sum(amount - clawed) FILTER (WHERE state <> 'live') AS scheduled,
              sum(remaining) FILTER (WHERE state = 'live' AND expires_ms < 281474976710655) AS expiring,
              min(expires_ms) FILTER (WHERE state = 'live' AND remaining > 0 AND expires_ms < 281474976710655) AS expires_ms
         FROM grants
        WHERE account_id = $1 AND credit_type_id = t.id AND state IN ('scheduled', 'pending', 'queued', 'live')) g ON true
  LEFT JOIN LATERAL (
       SELECT sum(remaining) AS remaining, jsonb_agg(jsonb_build_array(routes, remaining, ends) ORDER BY routes) AS each
         FROM (SELECT r.routes, sum(g.remaining)::bigint AS remaining, min(g.expires_ms) AS ends
                 FROM grants g JOIN grant_reaches r ON r.id = g.reach_id
                WHERE g.account_id = $1 AND g.credit_type_id = t.id AND g.state = 'live' AND g.remaining > 0
                  AND g.reach_id IS NOT NULL
                GROUP BY r.routes) l) l ON true
 WHERE p.account_id IS NOT NULL OR g.scheduled IS NOT NULL
 ORDER BY t.id

-- What was watched and not charged, from $1 to before $2 (ids, which are ordered by time).

-- name: pools
-- Who was watched, with the balance of that type before the first of these requests: what there is
-- now, less all that has moved it since.
SELECT w.account_id, w.credit_type_id, a.external_id,
       coalesce(p.remaining + p.held - p.debt - p.floor, 0)
         - coalesce((SELECT sum(m.amount) FROM movements m
                      WHERE m.account_id = w.account_id AND m.credit_type_id = w.credit_type_id AND m.id >= $1), 0)::bigint
         + coalesce((SELECT sum(c.captured) FROM charges c
                      WHERE c.account_id = w.account_id AND c.credit_type_id = w.credit_type_id AND c.id >= $1), 0)::bigint
         AS start,
       coalesce(p.remaining - p.debt - p.floor, 0) AS available
  FROM (SELECT DISTINCT account_id, credit_type_id
          FROM charges WHERE state = 6 AND account_id IS NOT NULL AND id >= $1 AND id < $2) w
  JOIN accounts a ON a.id = w.account_id
  LEFT JOIN pools p ON p.account_id = w.account_id AND p.credit_type_id = w.credit_type_id

-- name: freezes
SELECT account_id, created_at, flags <> 0 AS frozen
  FROM controls WHERE kind = 'f' AND account_id = ANY ($1::bigint[])
 ORDER BY account_id, cseq

-- name: keys
SELECT id, scopes, expires_ms, revoked_at FROM api_keys WHERE account_id = ANY ($1::bigint[])

-- name: caps
SELECT object_id AS key_id, credit_type_id, created_at AS at, priority AS per,
       CASE WHEN flags <> 0 THEN amount END AS units
  FROM controls WHERE kind = 'c' AND account_id = ANY ($1::bigint[])
 ORDER BY account_id, cseq

-- name: events
-- Watched requests; and of those accounts what was charged, what failed (3 void, 4 expired) and what
-- moved balances besides, in the order of time.
SELECT e.*, r.route
  FROM (SELECT id, 'watched' AS what, account_id, key_id, credit_type_id, held AS amount, NULL::bigint AS captured,
               price_version, rule, units, note, false AS failed,
               duration_ms, closed_at AS ended, plan
          FROM charges WHERE state = 6 AND id >= $1 AND id < $2
        UNION ALL
        SELECT id, 'charged', account_id, key_id, credit_type_id, captured, -captured,
               price_version, rule, NULL, note, state IN (3, 4), NULL, closed_at, plan
          FROM charges WHERE state <> 6 AND id >= $1 AND id < $2 AND account_id = ANY ($3::bigint[])
        UNION ALL
        SELECT id, 'moved', account_id, NULL, credit_type_id, 0, amount, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL
          FROM movements WHERE id >= $1 AND id < $2 AND account_id = ANY ($3::bigint[])) e
  LEFT JOIN price_rules r ON r.version = e.price_version AND r.rule = e.rule
 ORDER BY e.id

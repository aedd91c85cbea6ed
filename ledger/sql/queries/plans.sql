-- NO KEY: as `controls` locks it.
-- name: lock
SELECT id FROM accounts WHERE id = $1 FOR NO KEY UPDATE

-- name: standing
SELECT a.plan AS own, s.name AS subscribed, s.features, k.object_id AS ordered,
       k.cseq IS NULL OR k.cseq <= a.cseq_applied AS applied
  FROM accounts a
  LEFT JOIN subscribed_plans s ON s.account_id = a.id
  LEFT JOIN LATERAL (SELECT object_id, cseq FROM controls WHERE account_id = a.id AND kind = 'p'
                      ORDER BY cseq DESC LIMIT 1) k ON true
 WHERE a.id = $1

-- name: subscribe
INSERT INTO subscribed_plans AS s (account_id, name, features) VALUES ($1, $2, $3)
ON CONFLICT (account_id) DO UPDATE SET name = excluded.name, features = excluded.features, updated_at = now()

-- name: unsubscribe
DELETE FROM subscribed_plans WHERE account_id = $1

-- name: number
SELECT number FROM plans WHERE name = $1 AND features = $2

-- name: add
INSERT INTO plans (name, features) VALUES ($1, $2) ON CONFLICT (name, features) DO NOTHING

-- name: by_number
SELECT name, features FROM plans WHERE number = $1

-- Of the few plans there are, each looked up by an index: probes ask this again and again.
-- name: names
SELECT DISTINCT p.name
  FROM plans p
 WHERE p.name <> ''
   AND (EXISTS (SELECT FROM subscribed_plans s WHERE s.name = p.name)
        OR EXISTS (SELECT FROM accounts a
                    WHERE a.plan = p.name AND a.plan <> ''
                      AND NOT EXISTS (SELECT FROM subscribed_plans s WHERE s.account_id = a.id AND s.name <> '')))
 ORDER BY 1

-- name: of_accounts
SELECT a.id, coalesce(nullif(s.name, ''), a.plan) AS name
  FROM accounts a LEFT JOIN subscribed_plans s ON s.account_id = a.id
 WHERE a.id = ANY ($1::bigint[])

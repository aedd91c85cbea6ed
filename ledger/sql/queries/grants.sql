-- name: by_id
SELECT g.id, g.account_id, t.name AS credit_type, g.credit_type_id, g.kind, g.amount, g.remaining, g.held, g.clawed,
       g.expired, g.priority, g.state, g.effective_at, g.expires_ms, g.charge_id, g.description, g.reference,
       g.metadata, g.actor, g.created_at, r.routes
  FROM grants g JOIN credit_types t ON t.id = g.credit_type_id LEFT JOIN grant_reaches r ON r.id = g.reach_id
 WHERE g.id = $1

-- name: of_account
SELECT g.id, g.account_id, t.name AS credit_type, g.credit_type_id, g.kind, g.amount, g.remaining, g.held, g.clawed,
       g.expired, g.priority, g.state, g.effective_at, g.expires_ms, g.charge_id, g.description, g.reference,
       g.metadata, g.actor, g.created_at, r.routes
  FROM grants g JOIN credit_types t ON t.id = g.credit_type_id LEFT JOIN grant_reaches r ON r.id = g.reach_id
 WHERE g.account_id = $1 AND ($2::bigint IS NULL OR g.id < $2)
 ORDER BY g.id DESC
 LIMIT $3

-- name: of_charge
SELECT g.id, g.account_id, t.name AS credit_type, g.credit_type_id, g.kind, g.amount, g.remaining, g.held, g.clawed,
       g.expired, g.priority, g.state, g.effective_at, g.expires_ms, g.charge_id, g.description, g.reference,
       g.metadata, g.actor, g.created_at, r.routes
  FROM grants g JOIN credit_types t ON t.id = g.credit_type_id LEFT JOIN grant_reaches r ON r.id = g.reach_id
 WHERE g.charge_id = $1
 ORDER BY g.id
 LIMIT $2

-- name: ending
SELECT g.id, g.account_id, t.name AS credit_type, g.credit_type_id, g.kind, g.amount, g.remaining, g.held, g.clawed,
       g.expired, g.priority, g.state, g.effective_at, g.expires_ms, g.charge_id, g.description, g.reference,
       g.metadata, g.actor, g.created_at, r.routes
  FROM grants g JOIN credit_types t ON t.id = g.credit_type_id LEFT JOIN grant_reaches r ON r.id = g.reach_id
 WHERE g.account_id = $1 AND g.state = 'live' AND g.remaining > 0 AND g.expires_ms < 281474976710655
 ORDER BY g.expires_ms, g.id
 LIMIT $2

-- name: due
WITH waiting AS (
    SELECT g.id, g.account_id, g.credit_type_id, g.reach_id IS NOT NULL AS limited,
           row_number() OVER (PARTITION BY g.account_id, g.credit_type_id, g.reach_id IS NOT NULL
                              ORDER BY g.priority, g.expires_ms, g.id) AS place
      FROM grants g JOIN accounts a ON a.id = g.account_id
     WHERE a.shard = $1 AND (g.state = 'queued' OR (g.state = 'scheduled' AND g.effective_at <= $2))
)
SELECT w.id, w.account_id
  FROM waiting w
 WHERE w.place <= $3 - (SELECT count(*) FROM grants l
                         WHERE l.account_id = w.account_id AND l.credit_type_id = w.credit_type_id
                           AND (l.reach_id IS NOT NULL) = w.limited AND (l.state = 'pending' OR (l.state = 'live' AND l.remaining > 0)))
 ORDER BY w.account_id, w.place
 LIMIT $4

-- NO KEY: two purchases that refer to their account before they order something would each wait for the
-- other's reference to go.
-- name: lock_account
SELECT cseq_head FROM accounts WHERE id = $1 FOR NO KEY UPDATE

-- name: asked_before
SELECT account_id, request, cseq, object_id FROM control_requests WHERE source = $1 AND source_id = $2

-- Waits for a transaction that is asking under the same name, whoever's account it is about.
-- name: reserve
INSERT INTO control_requests (source, source_id, account_id, request) VALUES ($1, $2, $3, $4)
ON CONFLICT (source, source_id) DO NOTHING
RETURNING true

-- name: answer
UPDATE control_requests SET cseq = $3, object_id = $4 WHERE source = $1 AND source_id = $2

-- name: insert
INSERT INTO controls (account_id, cseq, kind, credit_type_id, object_id, amount, priority, expires_ms,
                      flags, actor, source, source_id, entry_kind, description, reference, metadata, reach_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)

-- name: raise_head
UPDATE accounts SET cseq_head = $2, updated_at = now() WHERE id = $1

-- name: last_freeze
SELECT flags, source FROM controls WHERE account_id = $1 AND kind = 'f' ORDER BY cseq DESC LIMIT 1

-- name: pending
SELECT k.cseq, k.kind, k.credit_type_id, k.object_id, k.amount, k.priority, k.expires_ms, k.flags, k.reach_id
  FROM accounts a JOIN controls k ON k.account_id = a.id AND k.cseq > a.cseq_applied
 WHERE a.id = $1
 ORDER BY k.cseq
 LIMIT $2

-- name: waiting_accounts
SELECT id FROM accounts WHERE shard = $1 AND cseq_head > cseq_applied AND id > $2 ORDER BY id LIMIT $3

-- name: applied
SELECT cseq_applied >= $2 FROM accounts WHERE id = $1

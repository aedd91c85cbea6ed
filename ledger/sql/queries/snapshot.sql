-- name: account
SELECT a.status, a.aseq, a.cseq_applied, s.epoch,
       (SELECT k.object_id FROM controls k
         WHERE k.account_id = a.id AND k.kind = 'p' AND k.cseq <= a.cseq_applied ORDER BY k.cseq DESC LIMIT 1) AS plan
  FROM accounts a JOIN shards s ON s.id = a.shard
 WHERE a.id = $1

-- name: pools
SELECT credit_type_id, debt, floor FROM pools WHERE account_id = $1 ORDER BY credit_type_id

-- name: lots
-- Limited ones also where all of them is held: a hold that gives back must know their reach.
SELECT id, credit_type_id, priority, expires_ms, remaining, reach_id
  FROM grants
 WHERE account_id = $1 AND state = 'live' AND (remaining > 0 OR reach_id IS NOT NULL)

-- name: keys
SELECT id, scopes, expires_ms
  FROM api_keys
 WHERE account_id = $1 AND status = 1 AND expires_ms > extract(epoch FROM now()) * 1000
 ORDER BY id

-- name: open_holds
SELECT id, key_id, credit_type_id, held, price_version, rule, deadline_ms, opened_aseq, balance_after, allocation
  FROM charges
 WHERE account_id = $1 AND state = 1
 ORDER BY id

-- name: key_caps
SELECT c.key_id, c.credit_type_id, c.per, c.units
  FROM key_caps c JOIN api_keys k ON k.id = c.key_id
 WHERE k.account_id = $1

-- name: limit_uses
SELECT whose, owner, route, limit_id, window_number, used
  FROM limit_uses
 WHERE account_id IN ($1, 0) AND used > 0

-- name: hold_uses
SELECT hold_id, uses FROM hold_uses WHERE account_id = $1

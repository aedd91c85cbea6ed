-- name: account
SELECT a.status, a.aseq, a.cseq_applied, s.epoch
  FROM accounts a JOIN shards s ON s.id = a.shard
 WHERE a.id = $1

-- name: pools
SELECT credit_type_id, debt, floor FROM pools WHERE account_id = $1 ORDER BY credit_type_id

-- name: lots
SELECT id, credit_type_id, priority, expires_ms, remaining
  FROM grants
 WHERE account_id = $1 AND state = 'live' AND remaining > 0

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

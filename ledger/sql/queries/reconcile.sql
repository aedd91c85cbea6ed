-- name: open_holds
SELECT c.account_id, c.credit_type_id, sum(c.held)::bigint AS units
  FROM charges c JOIN accounts a ON a.id = c.account_id
 WHERE c.state = 1 AND a.shard = $1
 GROUP BY c.account_id, c.credit_type_id

-- name: key
SELECT k.account_id, k.scopes, k.status, k.expires_ms, a.cseq_head > a.cseq_applied AS pending
  FROM api_keys k JOIN accounts a ON a.id = k.account_id
 WHERE k.id = $1

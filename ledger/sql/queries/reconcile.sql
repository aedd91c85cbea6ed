-- name: open_holds
SELECT c.account_id, c.credit_type_id, sum(c.held)::bigint AS units
  FROM charges c JOIN accounts a ON a.id = c.account_id
 WHERE c.state = 1 AND a.shard = $1
 GROUP BY c.account_id, c.credit_type_id

-- name: key
SELECT k.account_id, k.scopes, k.status, k.expires_ms, a.cseq_head > a.cseq_applied AS pending
  FROM api_keys k JOIN accounts a ON a.id = k.account_id
 WHERE k.id = $1

-- name: limit_uses
SELECT u.whose, u.owner, u.route, u.limit_id, u.window_number, u.used
  FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS wanted (whose, owner, route)
  JOIN limit_uses u USING (whose, owner, route)

-- name: next_limit_uses
SELECT DISTINCT whose, owner, route, account_id AS account
  FROM limit_uses
 WHERE (whose, owner, route) > ($1::text, $2::bigint, $3::bytea) AND used > 0
 ORDER BY whose, owner, route
 LIMIT $4

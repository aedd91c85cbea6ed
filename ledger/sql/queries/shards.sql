-- name: read
SELECT id, epoch, incarnation, last_q, last_chain, open_at_start, clock_ms FROM shards WHERE id = $1

-- name: lock_epoch
SELECT epoch FROM shards WHERE id = $1 FOR NO KEY UPDATE

-- name: advance
UPDATE shards
   SET epoch = greatest(epoch, $4) + 1, incarnation = $2, last_q = 0, last_chain = '0000000000000000',
       open_at_start = $3
 WHERE id = $1
RETURNING id, epoch, incarnation, last_q, last_chain, open_at_start, clock_ms

-- name: open_holds
SELECT c.credit_type_id, count(*) AS count, sum(c.held)::bigint AS units
  FROM charges c JOIN accounts a ON a.id = c.account_id
 WHERE c.state = 1 AND a.shard = $1
 GROUP BY c.credit_type_id
 ORDER BY c.credit_type_id

-- name: next_session
SELECT nextval('session_numbers')

-- name: posted_at
SELECT posted_at FROM shards WHERE id = $1

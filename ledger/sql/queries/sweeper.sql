-- name: overdue
-- In the order of the index on open charges; a renewed hold stays in it with its first deadline.
SELECT c.id, c.account_id, c.deadline_ms
  FROM charges c JOIN accounts a ON a.id = c.account_id
 WHERE c.state = 1 AND a.shard = $1 AND c.deadline_ms < $2 AND (c.deadline_ms, c.id) > ($3, $4)
 ORDER BY c.deadline_ms, c.id
 LIMIT $5

-- name: with_due_lots
SELECT DISTINCT g.account_id
  FROM grants g JOIN accounts a ON a.id = g.account_id
 WHERE g.state = 'live' AND g.remaining > 0 AND g.expires_ms <= $2
   AND g.expires_ms < 281474976710655 -- as the index says it
   AND a.shard = $1 AND g.account_id > $3
 ORDER BY g.account_id
 LIMIT $4

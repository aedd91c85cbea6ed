-- name: rows
SELECT shard, epoch, q, account_id, fact, why, at, resolved_at
  FROM dead_facts
 WHERE (NOT $1::boolean OR resolved_at IS NULL) AND ($2::bigint IS NULL OR account_id = $2)
   AND (shard, epoch, q) > ($3::smallint, $4::bigint, $5::bigint)
 ORDER BY shard, epoch, q
 LIMIT $6

-- name: one
SELECT shard, epoch, q, account_id, fact, why, at, resolved_at
  FROM dead_facts WHERE (shard, epoch, q) = ($1, $2, $3)

-- name: resolve
WITH closed AS (
    UPDATE dead_facts SET resolved_at = now()
     WHERE (shard, epoch, q) = ($1, $2, $3) AND resolved_at IS NULL RETURNING q
)
SELECT EXISTS (SELECT FROM closed) FROM dead_facts WHERE (shard, epoch, q) = ($1, $2, $3)

-- What keeps an account in quarantine: facts nobody has decided about, and an epoch in which Redis
-- still counts what Postgres refused.
-- name: standing
SELECT count(*) FILTER (WHERE d.resolved_at IS NULL) AS unresolved,
       coalesce(bool_or(d.epoch = s.epoch), false) AS in_this_epoch
  FROM dead_facts d JOIN shards s ON s.id = d.shard
 WHERE d.account_id = $1

-- name: states
SELECT id, state FROM charges WHERE id = ANY ($1::bytea[]) AND id >= $2 AND id <= $3

-- name: undecided
SELECT count(*) FROM dead_facts WHERE resolved_at IS NULL

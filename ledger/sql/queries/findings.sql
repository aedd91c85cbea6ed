-- name: record
-- again: it, or one of the same check and account in other words, was open at an earlier look of late. settled_before:
-- a person has settled the very same.
WITH kept AS (
    INSERT INTO findings (check_name, account_id, detail) VALUES ($1, $2, $3)
    ON CONFLICT (check_name, coalesce(account_id, 0), md5(detail)) WHERE resolved_at IS NULL
    DO UPDATE SET seen_at = now()
    RETURNING *
)
SELECT k.id, k.effect, k.seen_at = k.found_at AS new,
       EXISTS (SELECT FROM findings f WHERE f.check_name = k.check_name AND f.account_id = k.account_id AND f.resolved_at IS NULL
                  AND f.found_at < now() - interval '20 seconds' AND f.seen_at > now() - interval '5 minutes') AS again,
       EXISTS (SELECT FROM findings f WHERE f.check_name = k.check_name AND f.account_id IS NOT DISTINCT FROM k.account_id
                  AND f.detail = k.detail AND f.resolved_at IS NOT NULL) AS settled_before
  FROM kept k

-- name: set_effect
UPDATE findings SET effect = $2 WHERE id = $1

-- name: quarantine
UPDATE accounts SET status = 3, updated_at = now() WHERE id = $1 AND status <> 3

-- name: open_by_check
SELECT check_name, count(*) AS open FROM findings WHERE resolved_at IS NULL GROUP BY check_name ORDER BY check_name

-- name: halted
SELECT EXISTS (SELECT FROM findings WHERE resolved_at IS NULL AND effect = 'shard')

-- name: rows
SELECT id, check_name, account_id, detail, effect, found_at, seen_at, resolved_at
  FROM findings
 WHERE (NOT $1::boolean OR resolved_at IS NULL) AND ($2::bigint IS NULL OR id < $2)
 ORDER BY id DESC
 LIMIT $3

-- name: one
SELECT id, check_name, account_id, detail, effect, found_at, seen_at, resolved_at FROM findings WHERE id = $1

-- name: resolve
WITH closed AS (
    UPDATE findings SET resolved_at = now() WHERE id = $1 AND resolved_at IS NULL RETURNING id
)
SELECT EXISTS (SELECT FROM closed) FROM findings WHERE id = $1

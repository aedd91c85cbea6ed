-- name: record
INSERT INTO findings (check_name, account_id, detail) VALUES ($1, $2, $3)
ON CONFLICT (check_name, coalesce(account_id, 0), md5(detail)) WHERE resolved_at IS NULL
DO UPDATE SET seen_at = now()

-- name: rows
SELECT id, check_name, account_id, detail, found_at, seen_at, resolved_at
  FROM findings
 WHERE (NOT $1::boolean OR resolved_at IS NULL) AND ($2::bigint IS NULL OR id < $2)
 ORDER BY id DESC
 LIMIT $3

-- name: one
SELECT id, check_name, account_id, detail, found_at, seen_at, resolved_at FROM findings WHERE id = $1

-- name: resolve
WITH closed AS (
    UPDATE findings SET resolved_at = now() WHERE id = $1 AND resolved_at IS NULL RETURNING id
)
SELECT EXISTS (SELECT FROM closed) FROM findings WHERE id = $1

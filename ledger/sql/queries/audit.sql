-- name: write
INSERT INTO audit (actor, action, target, detail) VALUES ($1, $2, $3, $4)

-- name: rows
SELECT id, at, actor, action, target, detail
  FROM audit
 WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR target = $2)
   AND ($3::bigint IS NULL OR id < $3)
 ORDER BY id DESC
 LIMIT $4

-- name: above
SELECT id, routes FROM grant_reaches WHERE id > $1 ORDER BY id

-- name: find
SELECT id FROM grant_reaches WHERE sha256 = $1

-- name: lock
LOCK TABLE grant_reaches IN SHARE ROW EXCLUSIVE MODE

-- name: add
INSERT INTO grant_reaches (id, sha256, routes)
SELECT coalesce(max(id), 0) + 1, $1, $2::text[] FROM grant_reaches
HAVING coalesce(max(id), 0) < $3
RETURNING id

-- name: names
SELECT DISTINCT route FROM price_rules
 WHERE version = (SELECT max(version) FROM price_versions)
 ORDER BY route

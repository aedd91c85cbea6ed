-- name: above
SELECT id, routes FROM grant_reaches WHERE id > $1 ORDER BY id

-- name: find
SELECT id FROM grant_reaches WHERE routes = $1::text[]

-- name: lock
LOCK TABLE grant_reaches IN SHARE ROW EXCLUSIVE MODE

-- name: add
INSERT INTO grant_reaches (id, routes)
SELECT coalesce(max(id), 0) + 1, $1::text[] FROM grant_reaches
HAVING coalesce(max(id), 0) < $2
RETURNING id

-- name: names
SELECT DISTINCT route FROM price_rules
 WHERE version = (SELECT max(version) FROM price_versions)
 ORDER BY route

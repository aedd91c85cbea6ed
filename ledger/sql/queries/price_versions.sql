-- name: lock
LOCK TABLE price_versions IN SHARE ROW EXCLUSIVE MODE

-- name: newest
SELECT version, sha256, source, actor, published_at, home FROM price_versions ORDER BY version DESC LIMIT 1

-- name: newest_in_file
SELECT version, sha256 FROM price_versions WHERE coalesce(in_file, source = 'file') ORDER BY version DESC LIMIT 1

-- name: mark_in_file
UPDATE price_versions SET in_file = true WHERE version = $1

-- The lock of those who write a file beside: it goes with the connection, so nobody who died keeps it.
-- name: publish_alone
SELECT pg_advisory_lock($1)

-- name: leave_publishing
SELECT pg_advisory_unlock($1)

-- name: by_version
SELECT version, sha256, source, actor, published_at, home FROM price_versions WHERE version = $1

-- name: text_of
SELECT t.text FROM price_versions v JOIN price_texts t USING (sha256) WHERE v.version = $1

-- name: add_text
INSERT INTO price_texts (sha256, text) VALUES ($1, $2) ON CONFLICT (sha256) DO NOTHING

-- name: add_version
INSERT INTO price_versions (version, sha256, source, actor, home) VALUES ($1, $2, $3, $4, $5)

-- name: add_rule
INSERT INTO price_rules (version, rule, route, path, methods, credit_type, price) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: rules
SELECT rule, route, path, methods, credit_type, price FROM price_rules WHERE version = $1 ORDER BY rule

-- name: versions
SELECT version, sha256, source, actor, published_at, home
  FROM price_versions
 WHERE $1::integer IS NULL OR version < $1
 ORDER BY version DESC
 LIMIT $2

-- name: refuse
INSERT INTO price_refusals (gateway_id, sha256, problems)
SELECT $1, $2, $3
 WHERE NOT EXISTS (SELECT FROM (SELECT sha256 FROM price_refusals WHERE gateway_id = $1 ORDER BY id DESC LIMIT 1) last
                    WHERE last.sha256 = $2)

-- name: last_refusal
SELECT gateway_id, sha256, problems, at
  FROM price_refusals
 WHERE at >= coalesce((SELECT max(published_at) FROM price_versions), '-infinity')
 ORDER BY id DESC
 LIMIT 1

-- name: create
INSERT INTO admins (name, token_sha256) VALUES ($1, $2) RETURNING id, name, created_at, revoked_at

-- name: put_root
INSERT INTO admins AS a (name, token_sha256) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET token_sha256 = excluded.token_sha256, revoked_at = NULL
 WHERE a.token_sha256 <> excluded.token_sha256 OR a.revoked_at IS NOT NULL
RETURNING id, name, created_at, revoked_at

-- name: revoke
UPDATE admins SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL
RETURNING id, name, created_at, revoked_at

-- name: by_name
SELECT id, name, created_at, revoked_at FROM admins WHERE name = $1

-- name: by_token
SELECT id, name, created_at, revoked_at, token_sha256 FROM admins WHERE token_sha256 = $1 AND revoked_at IS NULL

-- name: every
SELECT id, name, created_at, revoked_at FROM admins ORDER BY id

-- name: new_link
INSERT INTO sign_in_links (token_sha256, account_id, expires_at)
VALUES ($1, $2, now() + make_interval(mins => $3::int))

-- name: use_link
UPDATE sign_in_links SET used_at = now()
 WHERE token_sha256 = $1 AND used_at IS NULL AND expires_at > now()
RETURNING account_id

-- name: new_session
INSERT INTO page_sessions (token_sha256, account_id, admin_id, expires_at)
VALUES ($1, $2, $3, now() + make_interval(hours => $4::int))

-- name: new_key_session
INSERT INTO page_sessions (token_sha256, account_id, key_id, expires_at)
VALUES ($1, $2, $3, now() + make_interval(hours => $4::int))

-- name: session_of
SELECT s.account_id, s.admin_id, s.key_id, s.expires_at
  FROM page_sessions s
  LEFT JOIN admins a ON a.id = s.admin_id
  LEFT JOIN api_keys k ON k.id = s.key_id
 WHERE s.token_sha256 = $1 AND s.expires_at > now() AND a.revoked_at IS NULL
   AND (k.id IS NULL OR (k.status = 1 AND k.expires_ms > extract(epoch FROM now()) * 1000))

-- name: sign_in
-- SHARE: a token that is revoked or changed meanwhile opens nothing that outlives it.
WITH known AS (
    SELECT id, name, created_at, revoked_at FROM admins WHERE token_sha256 = $1 AND revoked_at IS NULL FOR SHARE
), opened AS (
    INSERT INTO page_sessions (token_sha256, account_id, admin_id, expires_at)
    SELECT $2, NULL, id, now() + make_interval(hours => $3::int) FROM known
)
SELECT id, name, created_at, revoked_at FROM known

-- name: admin_of_session
SELECT a.id, a.name, a.created_at, a.revoked_at
  FROM page_sessions s JOIN admins a ON a.id = s.admin_id
 WHERE s.token_sha256 = $1 AND s.expires_at > now() AND a.revoked_at IS NULL

-- name: end_sessions_of
DELETE FROM page_sessions WHERE admin_id = $1

-- name: end_session
DELETE FROM page_sessions WHERE token_sha256 = $1

-- name: sweep_links
DELETE FROM sign_in_links WHERE expires_at < now() - interval '1 day'

-- name: sweep_sessions
DELETE FROM page_sessions WHERE expires_at < now()

-- name: lock_and_count
SELECT (SELECT count(*) FROM api_keys k
         WHERE k.account_id = a.id AND k.status = 1
           AND k.expires_ms > extract(epoch FROM now()) * 1000) AS keys,
       (extract(epoch FROM now()) * 1000)::bigint AS now_ms
  FROM accounts a
 WHERE a.id = $1
   FOR UPDATE

-- name: lock_account_of
SELECT true FROM accounts WHERE id = (SELECT account_id FROM api_keys WHERE id = $1) FOR NO KEY UPDATE

-- name: create
INSERT INTO api_keys (account_id, name, prefix, sha256, scopes, expires_ms, replaces)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id, account_id, name, prefix, scopes, status, expires_ms, replaces, created_at, revoked_at

-- name: end_later
UPDATE api_keys
   SET expires_ms = least(expires_ms, ((extract(epoch FROM now()) + $2::int) * 1000)::bigint)
 WHERE id = $1
RETURNING id, account_id, name, prefix, scopes, status, expires_ms, replaces, created_at, revoked_at

-- name: rename
UPDATE api_keys SET name = $2 WHERE id = $1
RETURNING id, account_id, name, prefix, scopes, status, expires_ms, replaces, created_at, revoked_at

-- name: revoke
UPDATE api_keys SET status = 2, revoked_at = now() WHERE id = $1
RETURNING id, account_id, name, prefix, scopes, status, expires_ms, replaces, created_at, revoked_at

-- name: by_sha256
SELECT id, account_id, name, prefix, scopes, status, expires_ms, replaces, created_at, revoked_at
  FROM api_keys WHERE sha256 = $1

-- name: by_id
SELECT id, account_id, name, prefix, scopes, status, expires_ms, replaces, created_at, revoked_at
  FROM api_keys WHERE id = $1

-- name: of_account
SELECT id, account_id, name, prefix, scopes, status, expires_ms, replaces, created_at, revoked_at
  FROM api_keys WHERE account_id = $1 ORDER BY id DESC LIMIT $2

-- name: has_ended
SELECT expires_ms <= extract(epoch FROM now()) * 1000 FROM api_keys WHERE id = $1

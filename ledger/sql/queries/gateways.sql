-- name: register
INSERT INTO gateways (id, host) VALUES ($1, $2)
ON CONFLICT (id) DO UPDATE SET host = excluded.host, started_at = now(), seen_at = now()

-- name: seen
UPDATE gateways SET seen_at = now() WHERE id = $1 RETURNING true

-- name: set_prices
UPDATE gateways SET price_version = $2, file_sha256 = $3, refusal = $4, seen_at = now() WHERE id = $1 RETURNING true

-- name: by_id
SELECT id, host, started_at, seen_at, price_version, file_sha256, refusal FROM gateways WHERE id = $1

-- name: running
SELECT id, host, started_at, seen_at, price_version, file_sha256, refusal
  FROM gateways WHERE seen_at > now() - make_interval(secs => $1::int) ORDER BY started_at, id

-- name: forget
DELETE FROM gateways WHERE id = $1

-- name: sweep
DELETE FROM gateways WHERE seen_at < now() - make_interval(days => $1::int)

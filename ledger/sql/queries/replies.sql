-- The first one stands: nothing is returned where there is another.
-- name: keep
WITH new AS (
    INSERT INTO replies (account_id, key_hash, fingerprint, charge_id, status, headers, body, bytes)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (account_id, key_hash) DO NOTHING
    RETURNING account_id, bytes)
INSERT INTO reply_rooms AS room (account_id, bytes)
SELECT account_id, bytes FROM new
ON CONFLICT (account_id) DO UPDATE SET bytes = room.bytes + excluded.bytes
RETURNING bytes

-- name: lock_room
SELECT bytes FROM reply_rooms WHERE account_id = $1 FOR UPDATE

-- Drop the bodies of the oldest until the rest fits; that there was an answer is not forgotten.
-- name: make_room
WITH oldest AS (
    SELECT key_hash, bytes, sum(bytes) OVER (ORDER BY kept_at, key_hash) - bytes AS before
      FROM (SELECT key_hash, bytes, kept_at FROM replies
             WHERE account_id = $1 AND body IS NOT NULL
             ORDER BY kept_at, key_hash LIMIT $3) AS first_ones),
dropped AS (
    UPDATE replies SET body = NULL, headers = '', bytes = 0
     WHERE account_id = $1 AND key_hash IN (SELECT key_hash FROM oldest WHERE before < $2)
    RETURNING key_hash)
UPDATE reply_rooms
   SET bytes = bytes - (SELECT coalesce(sum(o.bytes), 0) FROM oldest o JOIN dropped USING (key_hash))
 WHERE account_id = $1
RETURNING bytes

-- name: with_old
SELECT DISTINCT account_id
  FROM (SELECT account_id FROM replies WHERE kept_at < now() - make_interval(secs => $1) ORDER BY kept_at LIMIT $2) AS old

-- name: forget
WITH gone AS (
    DELETE FROM replies WHERE account_id = $1 AND kept_at < now() - make_interval(secs => $2) RETURNING bytes)
UPDATE reply_rooms SET bytes = bytes - (SELECT coalesce(sum(bytes), 0) FROM gone) WHERE account_id = $1

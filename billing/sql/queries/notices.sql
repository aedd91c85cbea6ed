-- Both at once or neither: a notice without an end would never be delivered.
-- name: tell
WITH told AS (
    INSERT INTO billing.notices (kind, account_id, key, payload) VALUES ($1, $2, $3, $4)
    ON CONFLICT (kind, key) DO NOTHING
    RETURNING id)
INSERT INTO billing.notice_deliveries (notice_id, channel)
SELECT told.id, channel FROM told, unnest($5::text[]) AS channel
RETURNING notice_id

-- name: of_account
SELECT id, kind, account_id, key, payload, created_at
  FROM billing.notices WHERE account_id = $1 ORDER BY id DESC LIMIT $2

-- One at a time, so that a slow end holds back nothing but itself. What is claimed comes back
-- after the lease if its sender died.
-- name: claim
WITH claimed AS (
    UPDATE billing.notice_deliveries
       SET attempts = attempts + 1, next_try_at = now() + $2::interval
     WHERE (notice_id, channel) = (
           SELECT notice_id, channel FROM billing.notice_deliveries
            WHERE state = 'waiting' AND channel = $1 AND next_try_at <= now()
            ORDER BY next_try_at, notice_id
            LIMIT 1
              FOR UPDATE SKIP LOCKED)
    RETURNING notice_id, attempts)
SELECT c.attempts, n.id, n.kind, n.account_id, n.key, n.payload, n.created_at
  FROM claimed c JOIN billing.notices n ON n.id = c.notice_id

-- name: sent
UPDATE billing.notice_deliveries SET state = 'sent', sent_at = now(), error = ''
 WHERE notice_id = $1 AND channel = $2 AND state = 'waiting'

-- name: again
UPDATE billing.notice_deliveries SET next_try_at = now() + $3::interval, error = $4
 WHERE notice_id = $1 AND channel = $2 AND state = 'waiting'

-- name: end
UPDATE billing.notice_deliveries SET state = $3, error = $4
 WHERE notice_id = $1 AND channel = $2 AND state = 'waiting'

-- name: skip_all
UPDATE billing.notice_deliveries SET state = 'skipped', error = $2
 WHERE state = 'waiting' AND channel = $1 AND next_try_at <= now()

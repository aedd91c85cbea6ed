-- name: put
INSERT INTO billing.inbox (stripe_account, livemode, event_id, type, object_type, object_id, thin,
                           api_version, origin, raw, status, outcome, event_created, received_at,
                           next_try_at, processed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::timestamptz, $14,
        CASE WHEN $11 = 'received' THEN NULL ELSE $14::timestamptz END)
ON CONFLICT (stripe_account, livemode, event_id) DO NOTHING
RETURNING id

-- name: known
SELECT event_id FROM billing.inbox
 WHERE stripe_account = '' AND livemode = $1 AND event_id = ANY($2::text[])

-- name: claim
-- The rows that are due, the oldest first; each is out of reach of others until its lease is over.
-- A try is counted when it begins, so that an event which brings the process down is counted too.
UPDATE billing.inbox SET attempts = attempts + 1, next_try_at = $2::timestamptz + $3::interval
 WHERE id IN (SELECT id FROM billing.inbox
               WHERE livemode = $1 AND status IN ('received', 'failed') AND next_try_at <= $2
               ORDER BY next_try_at, id
               LIMIT $4
                 FOR UPDATE SKIP LOCKED)
RETURNING id, event_id, type, thin, object_type, object_id, raw, attempts, event_created

-- name: finish
-- Only while it is still to be done: a twin that came to an end first has the say.
UPDATE billing.inbox
   SET status = $3, outcome = $4, error_code = $5, next_try_at = $6,
       account_id = coalesce($7, account_id),
       processed_at = CASE WHEN $3 = 'failed' THEN processed_at ELSE $8 END
 WHERE id = $1 AND attempts = $2 AND status IN ('received', 'failed')
RETURNING id

-- name: settled_since
UPDATE billing.inbox SET status = 'done', outcome = 'settled since'
 WHERE object_id = $1 AND status IN ('quarantined', 'dead')
RETURNING event_id, object_id

-- name: declines
-- Declines of one account in the time before an event; snapshot and thin twins count once.
SELECT greatest(count(*) FILTER (WHERE thin), count(*) FILTER (WHERE NOT thin))
  FROM billing.inbox
 WHERE account_id = $1 AND type = ANY($2::text[])
   AND event_created > $3::timestamptz - $4::interval AND event_created <= $3

-- name: rows
SELECT id, stripe_account, livemode, event_id, type, object_type, object_id, thin, api_version,
       origin, account_id, status, outcome, error_code, attempts, next_try_at, event_created,
       received_at, processed_at
  FROM billing.inbox
 WHERE ($1::text[] IS NULL OR status = ANY($1)) AND ($2::text IS NULL OR object_id = $2)
   AND ($3::bigint IS NULL OR id < $3)
 ORDER BY id DESC
 LIMIT $4

-- name: show
SELECT id, stripe_account, livemode, event_id, type, object_type, object_id, thin, api_version,
       origin, account_id, status, outcome, error_code, attempts, next_try_at, event_created,
       received_at, processed_at
  FROM billing.inbox
 WHERE id = $1

-- name: raw
SELECT raw FROM billing.inbox WHERE id = $1

-- name: retry
-- A time in the past is due at once, whatever clock the worker has.
UPDATE billing.inbox SET status = 'received', attempts = 0, next_try_at = received_at, outcome = ''
 WHERE id = $1 AND status IN ('failed', 'dead', 'quarantined')
RETURNING event_id, object_id

-- name: dismiss
UPDATE billing.inbox SET status = 'ignored', outcome = $2, processed_at = now()
 WHERE id = $1 AND status IN ('received', 'failed', 'dead', 'quarantined')
RETURNING event_id, object_id

-- name: forget
DELETE FROM billing.inbox
 WHERE id IN (SELECT id FROM billing.inbox
               WHERE received_at < $1 AND status IN ('done', 'ignored')
               ORDER BY received_at LIMIT $2)

-- name: events
-- How many events ended how; rows older than what the inbox keeps are no longer counted.
SELECT type, status, count(*) AS times FROM billing.inbox
 WHERE livemode = $1 GROUP BY type, status ORDER BY type, status

-- name: waiting
SELECT count(*) AS waiting,
       coalesce(extract(epoch FROM $2::timestamptz - min(received_at)), 0)::float8 AS oldest_s
  FROM billing.inbox
 WHERE livemode = $1 AND status IN ('received', 'failed')

-- name: for_people
SELECT status, count(*) AS times FROM billing.inbox
 WHERE livemode = $1 AND status IN ('dead', 'quarantined') GROUP BY status

-- name: processing
SELECT count(*) AS times,
       coalesce(sum(extract(epoch FROM processed_at - received_at)), 0)::float8 AS seconds
  FROM billing.inbox
 WHERE livemode = $1 AND status = 'done' AND processed_at IS NOT NULL

-- name: orders
SELECT kind, state, count(*) AS times FROM billing.orders
 WHERE livemode = $1 GROUP BY kind, state ORDER BY kind, state

-- name: alerts
SELECT kind, count(*) AS times FROM billing.alerts
 WHERE resolved_at IS NULL GROUP BY kind ORDER BY kind

-- name: errors
SELECT type, code, sum(times)::bigint AS times FROM billing.stripe_errors
 GROUP BY type, code ORDER BY type, code

-- name: notices
SELECT channel, state, count(*) AS times FROM billing.notice_deliveries
 WHERE state IN ('waiting', 'dead') GROUP BY channel, state ORDER BY channel, state

-- name: passes
SELECT name, extract(epoch FROM $2::timestamptz - ran_at)::float8 AS age_s
  FROM billing.cursors WHERE livemode = $1 ORDER BY name

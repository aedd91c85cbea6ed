-- name: raise
-- One open row per kind and subject; the last detail wins, `first` is true for the row that is new.
INSERT INTO billing.alerts (kind, subject, detail) VALUES ($1, $2, $3)
ON CONFLICT (kind, subject) WHERE resolved_at IS NULL
DO UPDATE SET times = alerts.times + 1, last_at = now(), detail = excluded.detail
RETURNING id, times = 1 AS first

-- name: rows
SELECT id, kind, subject, detail, times, first_at, last_at, resolved_at, resolved_by
  FROM billing.alerts
 WHERE (NOT $1::boolean OR resolved_at IS NULL) AND ($2::bigint IS NULL OR id < $2)
 ORDER BY id DESC
 LIMIT $3

-- name: resolve
WITH closed AS (
    UPDATE billing.alerts SET resolved_at = now(), resolved_by = $2
     WHERE id = $1 AND resolved_at IS NULL
    RETURNING id
)
SELECT EXISTS (SELECT FROM closed) FROM billing.alerts WHERE id = $1

-- name: resolve_about
UPDATE billing.alerts SET resolved_at = now(), resolved_by = $3
 WHERE kind = $1 AND subject = $2 AND resolved_at IS NULL

-- name: count_error
INSERT INTO billing.stripe_errors (hour, type, code, times)
VALUES (date_trunc('hour', now()), $1, $2, $3)
ON CONFLICT (hour, type, code) DO UPDATE SET times = stripe_errors.times + excluded.times

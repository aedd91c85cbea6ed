-- name: cursor
SELECT seen_to, ran_at FROM billing.cursors WHERE name = $1 AND livemode = $2

-- name: move_cursor
-- Back as well: what two passes at once see twice is harmless, a time ahead of us is not.
INSERT INTO billing.cursors (name, livemode, seen_to, ran_at, summary) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name, livemode) DO UPDATE
   SET seen_to = excluded.seen_to, ran_at = excluded.ran_at, summary = excluded.summary

-- name: any_order
SELECT EXISTS (SELECT FROM billing.orders WHERE livemode = $1)

-- name: cursors
SELECT name, seen_to, ran_at, summary FROM billing.cursors WHERE livemode = $1 ORDER BY name

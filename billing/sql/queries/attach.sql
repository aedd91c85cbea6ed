-- name: one_at_a_time
SELECT pg_advisory_xact_lock(hashtextextended('billing.attach:' || $1::text, 0))

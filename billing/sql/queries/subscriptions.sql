-- One fetch of a subscription at a time: the last to be written is the last that was fetched.
-- name: one_at_a_time
SELECT pg_advisory_xact_lock(hashtextextended('billing.subscriptions ' || $1, 0))

-- name: put
INSERT INTO billing.subscriptions AS s
       (livemode, id, order_id, account_id, customer_id, status, package, quantity, currency, period_minor,
        interval, interval_count, plan_tier, feature_flags, current_period_start, current_period_end,
        trial_end, cancel_at, cancel_at_period_end, canceled_at, ended_at, latest_invoice_id, created_at, fetched_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
ON CONFLICT (livemode, id) DO UPDATE
   SET customer_id = EXCLUDED.customer_id, status = EXCLUDED.status, package = EXCLUDED.package,
       quantity = EXCLUDED.quantity, currency = EXCLUDED.currency, period_minor = EXCLUDED.period_minor,
       interval = EXCLUDED.interval, interval_count = EXCLUDED.interval_count,
       plan_tier = EXCLUDED.plan_tier, feature_flags = EXCLUDED.feature_flags,
       current_period_start = EXCLUDED.current_period_start, current_period_end = EXCLUDED.current_period_end,
       trial_end = EXCLUDED.trial_end, cancel_at = EXCLUDED.cancel_at,
       cancel_at_period_end = EXCLUDED.cancel_at_period_end, canceled_at = EXCLUDED.canceled_at,
       ended_at = EXCLUDED.ended_at, latest_invoice_id = EXCLUDED.latest_invoice_id,
       fetched_at = EXCLUDED.fetched_at

-- name: get
SELECT * FROM billing.subscriptions WHERE livemode = $1 AND id = $2

-- name: entitling
SELECT plan_tier, feature_flags
  FROM billing.subscriptions
 WHERE account_id = $1 AND livemode = $2 AND status = ANY ($3::text[])
 ORDER BY created_at DESC, id DESC

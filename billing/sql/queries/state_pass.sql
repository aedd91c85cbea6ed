-- name: unfinished_orders
SELECT id, state, session_id FROM billing.orders
 WHERE livemode = $1 AND state IN ('created', 'open', 'awaiting_funds') AND kind <> 'auto_topup'
   AND created_at < $2
 ORDER BY created_at
 LIMIT $3

-- name: closed_sessions
-- Those of the sessions whose orders need nothing more.
SELECT session_id FROM billing.orders
 WHERE livemode = $1 AND session_id = ANY($2::text[])
   AND state NOT IN ('created', 'open', 'awaiting_funds')

-- name: booked
SELECT object_id FROM billing.payments WHERE livemode = $1 AND object_id = ANY($2::text[])

-- name: paid_by
-- Whether a payment of ours stands behind a payment intent or a charge.
SELECT EXISTS (SELECT FROM billing.payments
                WHERE livemode = $1 AND payment_intent_id = $2)
    OR EXISTS (SELECT FROM billing.payments
                WHERE livemode = $1 AND charge_id = $3)

-- name: refund_as_known
SELECT status FROM billing.stripe_refunds WHERE livemode = $1 AND id = $2

-- name: moving_refunds
SELECT id FROM billing.stripe_refunds
 WHERE livemode = $1 AND status IN ('pending', 'requires_action')

-- name: moving_disputes
-- Open ones, and those that ended without loss and whose money is not back yet.
SELECT id FROM billing.disputes
 WHERE livemode = $1 AND (open OR (status <> 'lost' AND withdrawn_minor > 0))

-- name: dispute_as_known
SELECT status, withdrawn_minor FROM billing.disputes WHERE livemode = $1 AND id = $2

-- name: subscription_known
SELECT EXISTS (SELECT FROM billing.subscriptions WHERE livemode = $1 AND id = $2)

-- name: stale_subscriptions
-- Those at work that should have renewed by now, or that nobody has looked at for a day.
SELECT id FROM billing.subscriptions
 WHERE livemode = $1 AND ended_at IS NULL
   AND (current_period_end < $2 OR fetched_at < $3)
 ORDER BY fetched_at

-- name: latest_invoice
SELECT latest_invoice_id FROM billing.subscriptions WHERE livemode = $1 AND id = $2

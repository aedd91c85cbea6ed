-- name: orders
SELECT o.id, o.account_id, o.kind, o.state, o.package, t.name AS credit_type, t.scale, o.credits_each,
       o.currency, o.unit_minor, o.quantity, o.session_id, o.payment_intent_id, o.subscription_id,
       o.customer_id, o.email, o.failure, o.problem, o.expires_at, o.created_at, o.updated_at
  FROM billing.orders o JOIN credit_types t ON t.id = o.credit_type_id
 WHERE o.livemode = $1
   AND ($2::bigint IS NULL OR o.account_id = $2)
   AND ($3::text IS NULL OR o.state = $3)
   AND ($4::text IS NULL OR (o.created_at, o.id) < (SELECT created_at, id FROM billing.orders WHERE id = $4))
   AND ($6::text IS NULL OR o.id = $6)
 ORDER BY o.created_at DESC, o.id DESC LIMIT $5

-- name: payments
-- A payment gives credits of one type: its order's.
SELECT p.id, p.order_id, p.account_id, p.source, p.object_id, o.package, o.kind, p.payment_intent_id,
       p.charge_id, p.invoice_id, p.customer_id, p.currency, p.quantity, p.subtotal_minor,
       p.discount_minor, p.tax_minor, p.paid_minor, p.fee_minor, p.fee_currency, p.refunded_minor,
       p.disputed_minor, p.reversed_minor, p.receipt_url, p.invoice_url, p.invoice_pdf, p.paid_at,
       t.name AS credit_type, t.scale,
       (SELECT coalesce(sum(g.credits), 0)::bigint FROM billing.payment_grants g WHERE g.payment_id = p.id) AS credits,
       (SELECT coalesce(sum(g.clawed), 0)::bigint FROM billing.payment_grants g WHERE g.payment_id = p.id) AS clawed
  FROM billing.payments p
  JOIN billing.orders o ON o.id = p.order_id
  JOIN credit_types t ON t.id = o.credit_type_id
 WHERE p.livemode = $1
   AND ($2::bigint IS NULL OR p.account_id = $2)
   AND ($3::text IS NULL OR p.order_id = $3)
   AND ($4::bigint IS NULL OR p.id < $4)
 ORDER BY p.id DESC LIMIT $5

-- name: refunds
SELECT r.id, p.order_id, r.payment_id, r.amount_minor, p.currency, r.state, r.stripe_id, r.reason,
       r.failure, r.actor, r.reference, r.created_at
  FROM billing.refunds r JOIN billing.payments p ON p.id = r.payment_id
 WHERE p.livemode = $1 AND ($2::text IS NULL OR p.order_id = $2) AND ($3::text IS NULL OR r.id = $3)
 ORDER BY r.created_at, r.id

-- name: disputes
SELECT d.id, d.payment_id, p.order_id, d.account_id, d.amount_minor, d.currency, d.withdrawn_minor,
       d.status, d.reason, d.open, d.due_by, d.created_at
  FROM billing.disputes d JOIN billing.payments p ON p.id = d.payment_id
 WHERE d.livemode = $1
   AND ($2::bigint IS NULL OR d.account_id = $2)
   AND ($3::boolean IS NULL OR d.open = $3)
   AND ($4::text IS NULL OR (d.created_at, d.id) <
        (SELECT created_at, id FROM billing.disputes WHERE livemode = $1 AND id = $4))
 ORDER BY d.created_at DESC, d.id DESC LIMIT $5

-- name: subscriptions
SELECT id, order_id, account_id, status, package, quantity, currency, period_minor, interval,
       interval_count, plan_tier, feature_flags, current_period_start, current_period_end, trial_end,
       cancel_at, cancel_at_period_end, canceled_at, ended_at, created_at
  FROM billing.subscriptions
 WHERE livemode = $1
   AND ($2::bigint IS NULL OR account_id = $2)
   AND ($3::text IS NULL OR status = $3)
   AND ($4::text IS NULL OR (created_at, id) <
        (SELECT created_at, id FROM billing.subscriptions WHERE livemode = $1 AND id = $4))
   AND ($6::text IS NULL OR id = $6)
 ORDER BY created_at DESC, id DESC LIMIT $5

-- name: subscription_counts
SELECT status, count(*) AS times FROM billing.subscriptions WHERE livemode = $1 GROUP BY status

-- name: notices
-- Each end that a notice goes to is a row of its own.
SELECT n.id, n.kind, n.account_id, n.key, n.payload, n.created_at, d.channel, d.state, d.attempts,
       d.error, d.sent_at
  FROM billing.notices n JOIN billing.notice_deliveries d ON d.notice_id = n.id
 WHERE ($1::text IS NULL OR d.state = $1)
   AND ($2::bigint IS NULL OR n.account_id = $2)
   AND ($3::bigint IS NULL OR n.id < $3)
   AND n.id IN (SELECT i.id FROM billing.notices i
                 WHERE ($3::bigint IS NULL OR i.id < $3) AND ($2::bigint IS NULL OR i.account_id = $2)
                   AND ($1::text IS NULL OR EXISTS (SELECT FROM billing.notice_deliveries e
                                                     WHERE e.notice_id = i.id AND e.state = $1))
                 ORDER BY i.id DESC LIMIT $4)
 ORDER BY n.id DESC, d.channel

-- name: retry_notice
UPDATE billing.notice_deliveries
   SET state = 'waiting', attempts = 0, next_try_at = now(), error = ''
 WHERE notice_id = $1 AND state = 'dead'
RETURNING channel

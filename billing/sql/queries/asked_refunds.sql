-- name: get
SELECT * FROM billing.refunds WHERE id = $1

-- name: of_payment
SELECT * FROM billing.refunds WHERE payment_id = $1 ORDER BY created_at, id

-- name: of_reference
SELECT * FROM billing.refunds WHERE reference = $1

-- What was asked and is not among Stripe's refunds yet. A failed or refused one is not on its way.
-- name: asking
SELECT coalesce(sum(amount_minor), 0)::bigint FROM billing.refunds r
 WHERE payment_id = $1 AND state IN ('asking', 'pending', 'requires_action', 'succeeded')
   AND NOT EXISTS (SELECT FROM billing.stripe_refunds s WHERE s.payment_id = r.payment_id AND s.id = r.stripe_id)

-- name: ask
INSERT INTO billing.refunds (id, payment_id, amount_minor, reason, actor, reference)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (reference) DO NOTHING
RETURNING *

-- Those without any answer, and credit notes whose refund was not there yet.
-- name: unanswered
SELECT r.* FROM billing.refunds r JOIN billing.payments p ON p.id = r.payment_id
 WHERE (r.state = 'asking' OR (r.state = 'pending' AND r.stripe_id IS NULL))
   AND p.livemode = $1 AND r.created_at < $2
 ORDER BY r.created_at LIMIT $3

-- name: answer
UPDATE billing.refunds SET state = $2, stripe_id = coalesce($3, stripe_id), failure = $4, updated_at = now()
 WHERE id = $1 AND (state = 'asking' OR (state = 'pending' AND stripe_id IS NULL))

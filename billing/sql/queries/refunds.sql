-- name: of_payment
SELECT id, status FROM billing.stripe_refunds WHERE payment_id = $1

-- name: keep
INSERT INTO billing.stripe_refunds (livemode, id, payment_id, amount_minor, currency, status, failure, created_at, fetched_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
ON CONFLICT (livemode, id) DO UPDATE
   SET amount_minor = $4, status = $6, failure = $7, fetched_at = now()

-- Our own asking that this refund is the answer to: by the name it carries, or known already.
-- name: answer_asked
UPDATE billing.refunds
   SET state = $4, stripe_id = $2, failure = $5, updated_at = now()
 WHERE payment_id = $1 AND (id = $3 OR stripe_id = $2)
   AND (state, stripe_id, failure) IS DISTINCT FROM ($4, $2, $5)

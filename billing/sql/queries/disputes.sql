-- name: of_payment
SELECT id, status, open FROM billing.disputes WHERE payment_id = $1

-- name: keep
INSERT INTO billing.disputes (livemode, id, payment_id, account_id, amount_minor, currency, withdrawn_minor,
                              status, reason, open, due_by, created_at, fetched_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now())
ON CONFLICT (livemode, id) DO UPDATE
   SET amount_minor = $5, currency = $6, withdrawn_minor = $7, status = $8, reason = $9, open = $10,
       due_by = $11, fetched_at = now()

-- name: any_open
SELECT EXISTS (SELECT FROM billing.disputes WHERE livemode = $1 AND account_id = $2 AND open)

-- name: count_freeze
UPDATE billing.disputes SET freezes = freezes + 1 WHERE livemode = $1 AND id = $2 RETURNING freezes

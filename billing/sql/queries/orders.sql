-- name: create
INSERT INTO billing.orders (id, account_id, livemode, kind, package, offer, credit_type_id, credits_each, currency,
                            unit_minor, quantity, least_quantity, most_quantity, save_card, origin)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
RETURNING *

-- name: credit_type_id
SELECT id FROM credit_types WHERE name = $1

-- name: get
SELECT * FROM billing.orders WHERE id = $1

-- name: lock
SELECT * FROM billing.orders WHERE id = $1 FOR UPDATE

-- name: of_session
SELECT * FROM billing.orders WHERE livemode = $1 AND session_id = $2

-- name: of_payment_intent
SELECT * FROM billing.orders WHERE livemode = $1 AND payment_intent_id = $2 ORDER BY created_at LIMIT 1

-- name: of_subscription
SELECT * FROM billing.orders WHERE livemode = $1 AND subscription_id = $2 ORDER BY created_at LIMIT 1

-- name: opened
-- The session is the one Stripe made for this order: its idempotency key is the order's id.
UPDATE billing.orders
   SET session_id = $2, session_url = $3, customer_id = coalesce($4, customer_id), expires_at = $5,
       state = CASE state WHEN 'created' THEN 'open' ELSE state END, updated_at = now()
 WHERE id = $1 AND (session_id IS NULL OR session_id = $2)
RETURNING true

-- name: link
UPDATE billing.orders
   SET payment_intent_id = coalesce($2, payment_intent_id), subscription_id = coalesce($3, subscription_id),
       customer_id = coalesce($4, customer_id), email = coalesce($5, email), updated_at = now()
 WHERE id = $1
   AND (payment_intent_id, subscription_id, customer_id, email)
       IS DISTINCT FROM (coalesce($2, payment_intent_id), coalesce($3, subscription_id),
                         coalesce($4, customer_id), coalesce($5, email))

-- name: move
UPDATE billing.orders
   SET state = $2, problem = $4, failure = coalesce($5, failure), updated_at = now()
 WHERE id = $1 AND state = ANY ($3::text[])
   AND (state, problem, failure) IS DISTINCT FROM ($2, $4, coalesce($5, failure))
RETURNING true

-- name: failed_try
UPDATE billing.orders SET failure = $2, updated_at = now() WHERE id = $1 AND failure IS DISTINCT FROM $2

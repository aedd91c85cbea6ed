-- name: begin
-- Committed before Stripe is asked; whoever comes second finds it.
INSERT INTO billing.customers (account_id, livemode, stripe_account) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING

-- name: find
SELECT c.customer_id, c.generation, a.email, a.name
  FROM billing.customers c JOIN accounts a ON a.id = c.account_id
 WHERE c.account_id = $1 AND c.livemode = $2 AND c.stripe_account = $3

-- name: made
UPDATE billing.customers SET customer_id = $5
 WHERE account_id = $1 AND livemode = $2 AND stripe_account = $3 AND generation = $4 AND customer_id IS NULL
RETURNING true

-- name: next_generation
UPDATE billing.customers SET generation = generation + 1
 WHERE account_id = $1 AND livemode = $2 AND stripe_account = $3 AND generation = $4 AND customer_id IS NULL

-- name: account_of
SELECT account_id FROM billing.customers WHERE livemode = $1 AND customer_id = $2

-- name: unlink
UPDATE billing.customers
   SET customer_id = NULL, generation = generation + 1, deleted_at = now(), default_card = NULL
 WHERE livemode = $1 AND customer_id = $2
RETURNING account_id

-- name: detach_cards
UPDATE billing.cards SET detached_at = now() WHERE livemode = $1 AND customer_id = $2 AND detached_at IS NULL

-- name: subscriptions
SELECT id FROM billing.subscriptions WHERE livemode = $1 AND customer_id = $2 AND ended_at IS NULL ORDER BY id

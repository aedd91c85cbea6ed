-- name: one_at_a_time
-- Held until the transaction ends: Stripe is asked inside, so an older answer cannot come last.
SELECT pg_advisory_xact_lock(hashtextextended('billing mirror ' || $1, 0))

-- name: mirrored
SELECT name, definition, active, problem FROM billing.packages WHERE livemode = $1 AND stripe_product = $2

-- name: owner_of_name
SELECT stripe_product FROM billing.packages WHERE name = $1

-- name: put
INSERT INTO billing.packages (name, source, livemode, stripe_product, definition, active, problem, fetched_at)
VALUES ($1, 'stripe', $2, $3, $4, $5, $6, $7)
ON CONFLICT (livemode, stripe_product) DO UPDATE
   SET definition = $4, active = $5, problem = $6, fetched_at = $7,
       version = billing.packages.version + (billing.packages.definition IS DISTINCT FROM $4)::integer,
       updated_at = now()

-- name: retire
-- What was sold stays: orders have their own copy.
UPDATE billing.packages SET active = false, fetched_at = $3, updated_at = now()
 WHERE livemode = $1 AND stripe_product = $2 AND active

-- name: products
SELECT stripe_product FROM billing.packages WHERE livemode = $1

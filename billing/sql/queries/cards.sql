-- What was asked later wins, whichever answer is written first.
-- name: keep
INSERT INTO billing.cards AS c (livemode, id, account_id, customer_id, kind, brand, last4, exp_month, exp_year, fetched_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (livemode, id) DO UPDATE
   SET account_id = excluded.account_id, customer_id = excluded.customer_id, kind = excluded.kind,
       brand = excluded.brand, last4 = excluded.last4, exp_month = excluded.exp_month,
       exp_year = excluded.exp_year, detached_at = NULL, fetched_at = excluded.fetched_at
 WHERE c.fetched_at < excluded.fetched_at
RETURNING true

-- name: detach
UPDATE billing.cards SET detached_at = coalesce(detached_at, $3), fetched_at = $3
 WHERE livemode = $1 AND id = $2 AND fetched_at < $3
RETURNING account_id

-- The first card that an account saves is the one that automatic top-up may use.
-- name: first_is_default
UPDATE billing.customers SET default_card = $3
 WHERE livemode = $1 AND customer_id = $2 AND default_card IS NULL

-- name: make_default
UPDATE billing.customers k SET default_card = $3
  FROM billing.cards c
 WHERE k.livemode = $1 AND k.account_id = $2
   AND c.livemode = $1 AND c.id = $3 AND c.account_id = $2 AND c.customer_id = k.customer_id
   AND c.detached_at IS NULL
RETURNING true

-- name: no_default
UPDATE billing.customers SET default_card = NULL
 WHERE livemode = $1 AND account_id = $2 AND default_card = $3
RETURNING true

-- name: listed
SELECT c.id, c.kind, c.brand, c.last4, c.exp_month, c.exp_year,
       EXISTS (SELECT FROM billing.customers k
                WHERE k.livemode = c.livemode AND k.customer_id = c.customer_id
                  AND k.default_card = c.id) AS is_default
  FROM billing.cards c
 WHERE c.livemode = $1 AND c.account_id = $2 AND c.detached_at IS NULL
 ORDER BY c.id

-- name: one
SELECT 1 FROM billing.cards WHERE livemode = $1 AND account_id = $2 AND id = $3

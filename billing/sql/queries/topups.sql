-- The clock that dates tries and rests, so the one to measure them by.
-- name: now
SELECT now()

-- name: settings
SELECT * FROM billing.topup_settings WHERE account_id = $1 AND livemode = $2

-- name: lock_settings
SELECT * FROM billing.topup_settings WHERE account_id = $1 AND livemode = $2 FOR UPDATE

-- name: put
INSERT INTO billing.topup_settings AS s (account_id, livemode, enabled, package, currency, quantity, credit_type_id,
       amount_minor, threshold, most_minor_month, most_count_day, consented_at)
VALUES ($1, $2, true, $3, $4, $5, $6, $7, $8, $9, $10, now())
ON CONFLICT (account_id, livemode) DO UPDATE
   SET enabled = true, package = excluded.package, currency = excluded.currency, quantity = excluded.quantity,
       credit_type_id = excluded.credit_type_id, amount_minor = excluded.amount_minor,
       threshold = excluded.threshold, most_minor_month = excluded.most_minor_month,
       most_count_day = excluded.most_count_day, paused = NULL, rest_until = NULL, declines = 0,
       consented_at = now(), updated_at = now()
RETURNING *

-- name: switch_off
UPDATE billing.topup_settings SET enabled = false, paused = coalesce($3, paused), updated_at = now()
 WHERE account_id = $1 AND livemode = $2 AND enabled
RETURNING *

-- name: pause
UPDATE billing.topup_settings SET paused = $3, updated_at = now()
 WHERE account_id = $1 AND livemode = $2 AND enabled AND paused IS NULL
RETURNING *

-- name: rest
UPDATE billing.topup_settings SET rest_until = greatest(rest_until, $3), updated_at = now() WHERE account_id = $1 AND livemode = $2

-- name: declined
UPDATE billing.topup_settings SET declines = declines + 1, updated_at = now()
 WHERE account_id = $1 AND livemode = $2
RETURNING declines

-- name: charged
UPDATE billing.topup_settings SET declines = 0, rest_until = NULL, updated_at = now()
 WHERE account_id = $1 AND livemode = $2 AND (declines > 0 OR rest_until IS NOT NULL)

-- What can be charged: the customer, and the default card while it is attached.
-- name: chargeable
SELECT k.customer_id, c.id AS card
  FROM billing.customers k
  JOIN billing.cards c ON c.livemode = k.livemode AND c.id = k.default_card
                      AND c.customer_id = k.customer_id AND c.detached_at IS NULL
 WHERE k.livemode = $1 AND k.account_id = $2 AND k.stripe_account = $3

-- Postgres decides, never Redis. What is on its way counts as there: grants not yet posted, and
-- purchases paid by a slow method. What is limited to some routes does not.
-- name: due
SELECT s.account_id
  FROM billing.topup_settings s
  JOIN accounts a ON a.id = s.account_id AND a.status = 1
  LEFT JOIN pools p ON p.account_id = s.account_id AND p.credit_type_id = s.credit_type_id
 WHERE s.livemode = $1 AND s.account_id > $2 AND s.enabled AND s.paused IS NULL AND s.consented_at IS NOT NULL
   AND (s.rest_until IS NULL OR s.rest_until <= now())
   AND coalesce(p.remaining - p.debt, 0)
       - coalesce((SELECT sum(l.remaining) FROM grants l
                    WHERE l.account_id = s.account_id AND l.credit_type_id = s.credit_type_id
                      AND l.reach_id IS NOT NULL AND l.state = 'live'), 0) < s.threshold
   AND NOT EXISTS (SELECT FROM billing.topup_attempts t
                    WHERE t.account_id = s.account_id AND t.livemode = s.livemode
                      AND t.state IN ('created', 'confirming', 'unknown'))
 ORDER BY s.account_id
 LIMIT $3

-- Asked once the settings are locked, so that what another attempt committed is seen.
-- name: standing
SELECT coalesce(p.remaining - p.debt, 0)
       - coalesce((SELECT sum(l.remaining) FROM grants l
                    WHERE l.account_id = $1 AND l.credit_type_id = $3 AND l.reach_id IS NOT NULL AND l.state = 'live'), 0)::bigint
       + coalesce((SELECT sum(g.amount - g.clawed) FROM grants g
                    WHERE g.account_id = $1 AND g.credit_type_id = $3 AND g.state IN ('pending', 'queued')
                      AND g.reach_id IS NULL), 0)::bigint
       + coalesce((SELECT sum(o.credits_each * o.quantity) FROM billing.orders o
                    WHERE o.account_id = $1 AND o.livemode = $2 AND o.credit_type_id = $3
                      AND o.state = 'awaiting_funds'), 0)::bigint AS available,
       coalesce(p.debt, 0) AS debt,
       a.status = 1 AS active,
       EXISTS (SELECT FROM billing.topup_attempts t
                WHERE t.account_id = $1 AND t.livemode = $2 AND t.state IN ('created', 'confirming', 'unknown')) AS trying,
       coalesce((SELECT sum(t.amount_minor) FROM billing.topup_attempts t
                  WHERE t.account_id = $1 AND t.livemode = $2 AND t.currency = $4
                    AND t.state NOT IN ('failed', 'absent')
                    AND t.created_at >= date_trunc('month', now(), 'UTC')), 0)::bigint AS month_minor,
       (SELECT count(*) FROM billing.topup_attempts t
         WHERE t.account_id = $1 AND t.livemode = $2 AND t.state <> 'absent'
           AND t.created_at >= date_trunc('day', now(), 'UTC')) AS day_count,
       date_trunc('day', now(), 'UTC') + interval '1 day' AS next_day,
       date_trunc('month', now(), 'UTC') + interval '1 month' AS next_month
  FROM accounts a
  LEFT JOIN pools p ON p.account_id = a.id AND p.credit_type_id = $3
 WHERE a.id = $1

-- name: open_checkouts
SELECT session_id FROM billing.orders
 WHERE account_id = $1 AND livemode = $2 AND package = $3 AND kind = 'checkout'
   AND (state = 'open' OR (state = 'created' AND created_at > now() - $4::interval))
 ORDER BY created_at

-- name: begin
INSERT INTO billing.topup_attempts (id, order_id, account_id, livemode, card, amount_minor, currency)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING *

-- name: of_order
SELECT * FROM billing.topup_attempts WHERE order_id = $1

-- name: asked
UPDATE billing.topup_attempts SET state = 'confirming', asked_at = now(), updated_at = now()
 WHERE id = $1 AND state IN ('created', 'confirming', 'unknown')
RETURNING true

-- name: unknown
UPDATE billing.topup_attempts SET state = 'unknown', updated_at = now()
 WHERE id = $1 AND state IN ('created', 'confirming')

-- name: seen
UPDATE billing.topup_attempts SET payment_intent_id = $2, updated_at = now()
 WHERE id = $1 AND payment_intent_id IS DISTINCT FROM $2

-- Money that came is booked whatever was believed before.
-- name: succeeded
UPDATE billing.topup_attempts SET state = 'succeeded', payment_intent_id = $2, failure = NULL, updated_at = now()
 WHERE id = $1 AND state <> 'succeeded'

-- name: failed
UPDATE billing.topup_attempts
   SET state = 'failed', payment_intent_id = coalesce($2, payment_intent_id), failure = $3, updated_at = now()
 WHERE id = $1 AND state IN ('created', 'confirming', 'unknown')
RETURNING true

-- Not if it was asked, or heard of, since it was read.
-- name: absent
UPDATE billing.topup_attempts SET state = 'absent', updated_at = now()
 WHERE id = $1 AND state IN ('created', 'unknown', 'confirming') AND payment_intent_id IS NULL
   AND updated_at = $2
RETURNING true

-- name: recent_failures
SELECT count(*) FROM billing.topup_attempts
 WHERE livemode = $1 AND state = 'failed' AND updated_at > now() - $2::interval

-- The older a try, the more rarely it is looked at: a bank debit takes days.
-- name: overdue
SELECT * FROM billing.topup_attempts
 WHERE livemode = $1 AND state IN ('created', 'confirming', 'unknown')
   AND coalesce(asked_at, created_at) < now() - greatest($2::interval, (now() - created_at) / 10)
 ORDER BY coalesce(asked_at, created_at)
 LIMIT $3

-- name: looked
UPDATE billing.topup_attempts SET asked_at = now() WHERE id = $1 AND asked_at IS NOT NULL

-- name: of_account
SELECT * FROM billing.topup_attempts
 WHERE account_id = $1 AND livemode = $2 ORDER BY created_at DESC LIMIT $3

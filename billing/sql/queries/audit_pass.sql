-- name: paid_without_payment
SELECT o.id FROM billing.orders AS o
 WHERE o.livemode = $1 AND o.state = 'paid' AND o.kind IN ('checkout', 'auto_topup')
   AND NOT EXISTS (SELECT FROM billing.payments AS p WHERE p.order_id = o.id)
 ORDER BY o.id LIMIT $2

-- name: without_grant
-- A payment of an invoice may be for less than one credit; a purchase is not.
SELECT p.object_id FROM billing.payments AS p
 WHERE p.livemode = $1 AND p.source IN ('checkout', 'topup')
   AND NOT EXISTS (SELECT FROM billing.payment_grants AS g WHERE g.payment_id = p.id)
 ORDER BY p.id LIMIT $2

-- name: not_applied
-- What a payment gave or took and Redis has not been seen to apply for a while.
SELECT c.source, c.source_id
  FROM controls AS c JOIN accounts AS a ON a.id = c.account_id
 WHERE c.cseq > a.cseq_applied AND c.created_at < $1
   AND c.source IN ('checkout', 'invoice_line', 'topup', 'reversal')
 ORDER BY c.created_at LIMIT $2

-- name: given_without_payment
-- Credits given in the name of a payment that is not booked. Both are written in one transaction.
SELECT c.source, c.source_id
  FROM controls AS c
 WHERE c.kind = 'g' AND c.created_at < $1 AND c.source IN ('checkout', 'invoice_line', 'topup')
   AND NOT EXISTS (SELECT FROM billing.payment_grants AS g
                    WHERE g.grant_id = c.object_id AND g.object_id = c.source_id AND g.credits = c.amount)
 ORDER BY c.created_at LIMIT $2

-- name: wrongly_clawed
-- Credits taken back are the share of the money that went back. Those that have expired meanwhile
-- are not given again when the money comes back.
SELECT g.object_id, g.clawed, g.credits
  FROM billing.payment_grants AS g JOIN billing.payments AS p ON p.id = g.payment_id
 WHERE p.livemode = $1 AND p.paid_minor > 0
   AND (g.clawed < div(g.credits::numeric * p.reversed_minor, p.paid_minor)
        OR g.clawed > div(g.credits::numeric * p.reversed_minor, p.paid_minor)
           AND (g.expires_at IS NULL OR g.expires_at > $2))
 ORDER BY p.id LIMIT $3

-- name: of_charges
-- What is booked for charges, found by the charge or by its intent.
SELECT object_id, charge_id, payment_intent_id, currency, paid_minor FROM billing.payments
 WHERE livemode = $1
   AND (charge_id = ANY($2::text[]) OR payment_intent_id = ANY($3::text[]))

-- name: paid_between
-- What was paid through Stripe in a time, so that its charge must be there; an invoice may have
-- been paid elsewhere, and has no intent then.
SELECT object_id, charge_id, payment_intent_id, currency, paid_minor FROM billing.payments
 WHERE livemode = $1 AND paid_at >= $2 AND paid_at < $3 AND created_at < $3 AND paid_minor > 0
   AND payment_intent_id IS NOT NULL

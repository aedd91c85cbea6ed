-- name: insert
INSERT INTO billing.payments (order_id, account_id, livemode, source, object_id, payment_intent_id, charge_id, invoice_id,
                              customer_id, currency, quantity, subtotal_minor, discount_minor, tax_minor, paid_minor,
                              fee_minor, fee_currency, receipt_url, invoice_url, invoice_pdf, paid_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
ON CONFLICT (livemode, object_id) DO NOTHING
RETURNING *

-- name: insert_grant
INSERT INTO billing.payment_grants (payment_id, grant_id, object_id, credit_type_id, credits, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: now
SELECT now()

-- name: get
SELECT * FROM billing.payments WHERE id = $1

-- name: lock
SELECT * FROM billing.payments WHERE id = $1 FOR UPDATE

-- name: of_object
SELECT * FROM billing.payments WHERE livemode = $1 AND object_id = $2

-- name: of_payment_intent
SELECT * FROM billing.payments WHERE livemode = $1 AND payment_intent_id = $2 ORDER BY id LIMIT 1

-- name: of_charge
SELECT * FROM billing.payments WHERE livemode = $1 AND charge_id = $2 ORDER BY id LIMIT 1

-- name: of_invoice
SELECT * FROM billing.payments WHERE livemode = $1 AND invoice_id = $2 ORDER BY id LIMIT 1

-- name: of_order
SELECT * FROM billing.payments WHERE order_id = $1 ORDER BY id

-- name: grants_of
SELECT grant_id, object_id, credit_type_id, credits, clawed, steps, expires_at
  FROM billing.payment_grants WHERE payment_id = $1 ORDER BY grant_id

-- name: fill
-- What was not known when the payment was booked; what is known stays.
UPDATE billing.payments
   SET payment_intent_id = coalesce(payment_intent_id, $2), charge_id = coalesce(charge_id, $3),
       invoice_id = coalesce(invoice_id, $4), receipt_url = coalesce(receipt_url, $5),
       invoice_url = coalesce(invoice_url, $6), invoice_pdf = coalesce(invoice_pdf, $7),
       fee_minor = coalesce(fee_minor, $8),
       fee_currency = CASE WHEN fee_minor IS NULL THEN $9 ELSE fee_currency END
 WHERE id = $1
   AND (($2::text IS NOT NULL AND payment_intent_id IS NULL) OR ($3::text IS NOT NULL AND charge_id IS NULL)
        OR ($4::text IS NOT NULL AND invoice_id IS NULL) OR ($5::text IS NOT NULL AND receipt_url IS NULL)
        OR ($6::text IS NOT NULL AND invoice_url IS NULL) OR ($7::text IS NOT NULL AND invoice_pdf IS NULL)
        OR ($8::bigint IS NOT NULL AND fee_minor IS NULL))
RETURNING true

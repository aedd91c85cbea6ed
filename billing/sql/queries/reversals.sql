-- name: stand
UPDATE billing.payments
   SET refunded_minor = $2, disputed_minor = $3, reversed_minor = $4
 WHERE id = $1 AND (refunded_minor, disputed_minor, reversed_minor) IS DISTINCT FROM ($2, $3, $4)
RETURNING true

-- name: count_move
UPDATE billing.payment_grants SET clawed = clawed + $2, steps = $3 WHERE grant_id = $1

-- name: credit_type_name
SELECT name FROM credit_types WHERE id = $1

-- name: now
SELECT now()

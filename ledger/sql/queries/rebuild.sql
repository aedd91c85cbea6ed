-- name: keys
SELECT id FROM api_keys WHERE account_id = $1 ORDER BY id

-- name: balances
SELECT account_id, credit_type_id, remaining + held - debt AS units
  FROM pools
 WHERE account_id = ANY ($1::bigint[])

-- name: charges
SELECT id, account_id, credit_type_id, held FROM charges
 WHERE id = ANY ($1::bytea[]) AND id >= $2 AND id <= $3 AND state = 1

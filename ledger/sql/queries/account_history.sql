-- name: account
SELECT id, aseq, cseq_applied FROM accounts WHERE id = ANY ($1::bigint[]) ORDER BY id

-- name: pools
SELECT account_id, credit_type_id, remaining, held, debt, granted, refunded, captured, expired, clawed, written_off
  FROM pools WHERE account_id = ANY ($1::bigint[])

-- name: grants
SELECT id, account_id, credit_type_id, amount, remaining, held, clawed, expired FROM grants WHERE account_id = ANY ($1::bigint[])

-- name: charges
SELECT id, account_id, credit_type_id, state, held, captured, written_off, balance_after, opened_aseq, closed_aseq, allocation
  FROM charges WHERE account_id = ANY ($1::bigint[]) AND state <> 6

-- name: movements
SELECT account_id, aseq, credit_type_id, kind, amount, balance_after, cseq, grant_id
  FROM movements WHERE account_id = ANY ($1::bigint[])

-- name: overtaken
SELECT charge_id, account_id, aseq, balance_after FROM overtaken_endings WHERE account_id = ANY ($1::bigint[])

-- Whether this invoice is the one whose trial gives credits; the first keeps it for good.
-- name: claim_trial
INSERT INTO billing.trials AS t (account_id, package, livemode, invoice_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (account_id, package, livemode) DO UPDATE SET invoice_id = t.invoice_id
RETURNING invoice_id = $4

-- name: credit_type_id
SELECT id FROM credit_types WHERE name = $1

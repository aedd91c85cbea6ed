-- name: type_known
SELECT EXISTS (SELECT FROM credit_types WHERE id = $1)

-- name: before_grant
SELECT EXISTS (SELECT FROM credit_types WHERE id = $2) AS type_known,
       EXISTS (SELECT FROM grants WHERE account_id = $1 AND reference = $3::text) AS reference_used,
       (SELECT coalesce(sum(remaining + held), 0) FROM pools WHERE account_id = $1 AND credit_type_id = $2)::bigint
       + (SELECT coalesce(sum(amount - clawed), 0) FROM grants
           WHERE account_id = $1 AND credit_type_id = $2 AND state IN ('scheduled', 'pending', 'queued'))::bigint AS total,
       now() AS now

-- name: most_debt
SELECT (SELECT coalesce(sum(debt), 0) FROM pools WHERE account_id = $1 AND credit_type_id = $2)::bigint
       + (SELECT coalesce(sum(k.amount), 0)
            FROM accounts a JOIN controls k ON k.account_id = a.id AND k.cseq > a.cseq_applied
           WHERE a.id = $1 AND k.kind = 'w' AND k.credit_type_id = $2)::bigint

-- name: insert_grant
INSERT INTO grants (account_id, credit_type_id, kind, amount, priority, effective_at, expires_ms, state,
                    charge_id, description, reference, metadata, actor, reach_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
RETURNING id

-- name: lock_grant
SELECT credit_type_id, amount, clawed, priority, expires_ms, state, reach_id
  FROM grants WHERE account_id = $1 AND id = $2 FOR UPDATE

-- name: cut_grant
UPDATE grants
   SET clawed = clawed + $2, state = CASE WHEN clawed + $2 = amount THEN 'clawed' ELSE state END
 WHERE id = $1

-- name: enter_grant
UPDATE grants SET state = 'pending', enters = enters + 1 WHERE id = $1

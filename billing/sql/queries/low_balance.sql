-- One pass over the pools inside the database; where no credit type has a threshold, only accounts
-- that have set their own are looked at. What is held by requests under way counts as there, for
-- most of it comes back: a passing hold is no reason to write to anybody.
-- name: crossed
WITH usual AS (
    SELECT * FROM unnest($1::smallint[], $2::bigint[]) AS t (credit_type_id, threshold)),
below AS (
    SELECT p.account_id, p.credit_type_id, usual.threshold, p.remaining + p.held - p.debt AS available
      FROM usual JOIN pools p USING (credit_type_id)
     WHERE p.remaining + p.held - p.debt < usual.threshold
       AND NOT EXISTS (SELECT FROM billing.low_balance l
                        WHERE l.account_id = p.account_id AND l.credit_type_id = p.credit_type_id
                          AND (l.below OR l.threshold IS NOT NULL))
    UNION ALL
    SELECT p.account_id, p.credit_type_id, l.threshold, p.remaining + p.held - p.debt
      FROM billing.low_balance l JOIN pools p USING (account_id, credit_type_id)
     WHERE NOT l.below AND l.threshold > 0 AND p.remaining + p.held - p.debt < l.threshold),
these AS (
    SELECT * FROM below LIMIT $3),
noted AS (
    INSERT INTO billing.low_balance AS l (account_id, credit_type_id, below, crossings)
    SELECT account_id, credit_type_id, true, 1 FROM these
    ON CONFLICT (account_id, credit_type_id)
       DO UPDATE SET below = true, crossings = l.crossings + 1 WHERE NOT l.below
    RETURNING account_id, credit_type_id, crossings)
SELECT noted.account_id, t.name AS credit_type, noted.crossings, these.available, these.threshold
  FROM noted JOIN these USING (account_id, credit_type_id)
  JOIN credit_types t ON t.id = noted.credit_type_id

-- name: recovered
WITH usual AS (
    SELECT * FROM unnest($1::smallint[], $2::bigint[]) AS t (credit_type_id, threshold))
UPDATE billing.low_balance AS l SET below = false
  FROM pools p
 WHERE l.below AND p.account_id = l.account_id AND p.credit_type_id = l.credit_type_id
   AND p.remaining + p.held - p.debt >= coalesce(
       l.threshold, (SELECT threshold FROM usual WHERE usual.credit_type_id = l.credit_type_id), 0)

-- name: set
INSERT INTO billing.low_balance (account_id, credit_type_id, threshold) VALUES ($1, $2, $3)
ON CONFLICT (account_id, credit_type_id) DO UPDATE SET threshold = $3

-- name: own
SELECT t.name, l.threshold
  FROM billing.low_balance l JOIN credit_types t ON t.id = l.credit_type_id
 WHERE l.account_id = $1 AND l.threshold IS NOT NULL

-- One pass over the pools inside the database; where no credit type has a threshold, only accounts
-- that have set their own are looked at. What is held by requests under way counts as there, for
-- most of it comes back: a passing hold is no reason to write to anybody. What is limited to some
-- routes does not count: the others may have nothing left.
-- name: crossed
WITH usual AS (
    SELECT * FROM unnest($1::smallint[], $2::bigint[]) AS t (credit_type_id, threshold)),
limited AS MATERIALIZED (
    SELECT account_id, credit_type_id, sum(remaining + held)::bigint AS units
      FROM grants WHERE reach_id IS NOT NULL AND state = 'live' GROUP BY 1, 2),
there AS NOT MATERIALIZED (
    SELECT p.account_id, p.credit_type_id, p.remaining + p.held - p.debt - coalesce(l.units, 0) AS available
      FROM pools p LEFT JOIN limited l USING (account_id, credit_type_id)),
below AS (
    SELECT p.account_id, p.credit_type_id, usual.threshold, p.available
      FROM usual JOIN there p USING (credit_type_id)
     WHERE p.available < usual.threshold
       AND NOT EXISTS (SELECT FROM billing.low_balance l
                        WHERE l.account_id = p.account_id AND l.credit_type_id = p.credit_type_id
                          AND (l.below OR l.threshold IS NOT NULL))
    UNION ALL
    SELECT p.account_id, p.credit_type_id, l.threshold, p.available
      FROM billing.low_balance l JOIN there p USING (account_id, credit_type_id)
     WHERE NOT l.below AND l.threshold > 0 AND p.available < l.threshold),
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
   AND p.remaining + p.held - p.debt
       - coalesce((SELECT sum(g.remaining + g.held) FROM grants g
                    WHERE g.account_id = p.account_id AND g.credit_type_id = p.credit_type_id
                      AND g.reach_id IS NOT NULL AND g.state = 'live'), 0) >= coalesce(
       l.threshold, (SELECT threshold FROM usual WHERE usual.credit_type_id = l.credit_type_id), 0)

-- name: set
INSERT INTO billing.low_balance (account_id, credit_type_id, threshold) VALUES ($1, $2, $3)
ON CONFLICT (account_id, credit_type_id) DO UPDATE SET threshold = $3

-- name: own
SELECT t.name, l.threshold
  FROM billing.low_balance l JOIN credit_types t ON t.id = l.credit_type_id
 WHERE l.account_id = $1 AND l.threshold IS NOT NULL

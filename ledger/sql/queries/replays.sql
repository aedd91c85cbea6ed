-- name: recorded
-- JSON stays text: where it is as that of a charge before, nobody has to read it again.
SELECT id, account_id, price_version, rule, state, reason, status, held, captured + coalesce(written_off, 0) AS due,
       units::text, measured::text, record::text, note, key_id, plan
  FROM charges
 WHERE id >= $1 AND id < $2
 ORDER BY id

-- name: recorded_of_account
SELECT id, account_id, price_version, rule, state, reason, status, held, captured + coalesce(written_off, 0) AS due,
       units::text, measured::text, record::text, note, key_id, plan
  FROM charges
 WHERE account_id = $3 AND id >= $1 AND id < $2
 ORDER BY id

-- Sums of many accounts do not stay in memory. Numeric: a million of the largest amounts is beyond a bigint.
-- name: make_sums
CREATE TEMP TABLE replayed (
    account_id  bigint  NOT NULL,
    credit_type text    NOT NULL,
    charges     bigint  NOT NULL,
    before      numeric NOT NULL,
    after       numeric NOT NULL
) ON COMMIT DROP

-- name: changed
-- Accounts that would have paid something else, the greatest change first.
SELECT a.id AS account_id, a.external_id, coalesce(nullif(on_plan.name, ''), a.plan) AS plan, s.credit_type, s.charges, s.before, s.after, count(*) OVER () AS of
  FROM (SELECT account_id, credit_type, sum(charges)::bigint AS charges, sum(before) AS before, sum(after) AS after
          FROM replayed GROUP BY account_id, credit_type) s
  JOIN accounts a ON a.id = s.account_id
  LEFT JOIN subscribed_plans on_plan ON on_plan.account_id = a.id
 WHERE s.after <> s.before
 ORDER BY abs(s.after - s.before) DESC, a.id, s.credit_type
 LIMIT $1

-- name: dry
-- Accounts whose credits would not last for the same calls once more; those that are soonest without come first.
SELECT a.id AS account_id, a.external_id, coalesce(nullif(on_plan.name, ''), a.plan) AS plan, s.credit_type, s.charges, s.before, s.after, s.available,
       count(*) OVER () AS of
  FROM (SELECT r.account_id, r.credit_type, sum(r.charges)::bigint AS charges, sum(r.before) AS before,
               sum(r.after) AS after, coalesce(max(p.remaining - p.debt), 0) AS available
          FROM replayed r
          LEFT JOIN credit_types t ON t.name = r.credit_type
          LEFT JOIN pools p ON p.account_id = r.account_id AND p.credit_type_id = t.id
         GROUP BY r.account_id, r.credit_type) s
  JOIN accounts a ON a.id = s.account_id
  LEFT JOIN subscribed_plans on_plan ON on_plan.account_id = a.id
 WHERE s.after > s.available
 ORDER BY s.available::numeric / s.after, s.after DESC, a.id, s.credit_type
 LIMIT $1

-- name: plans
SELECT coalesce(nullif(on_plan.name, ''), a.plan) AS plan, s.credit_type, sum(s.charges)::bigint AS charges,
       sum(s.before) AS before, sum(s.after) AS after
  FROM replayed s JOIN accounts a ON a.id = s.account_id
  LEFT JOIN subscribed_plans on_plan ON on_plan.account_id = a.id
 GROUP BY 1, s.credit_type
 ORDER BY 1 NULLS FIRST, s.credit_type

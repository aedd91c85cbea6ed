-- name: types
SELECT t.id AS credit_type_id, t.name AS credit_type, t.scale,
       coalesce(p.remaining - p.debt, 0) AS balance,
       coalesce(m.purchased, 0)::bigint AS purchased, coalesce(m.granted, 0)::bigint AS granted
  FROM credit_types t
  JOIN pools p ON p.account_id = $1 AND p.credit_type_id = t.id
  LEFT JOIN LATERAL (
       SELECT sum(amount) FILTER (WHERE kind IN ('purchase', 'subscription')) AS purchased,
              sum(amount) FILTER (WHERE amount > 0 AND kind <> 'refund') AS granted
         FROM movements
        WHERE account_id = $1 AND credit_type_id = t.id AND at >= $3 AND at < $4) m ON true
 WHERE $2::smallint IS NULL OR t.id = $2
 ORDER BY t.id

-- name: charges
SELECT c.credit_type_id, c.route, c.day, grouping(c.route) = 0 AS by_route, grouping(c.day) = 0 AS by_day,
       count(*) AS count, sum(c.captured)::bigint AS used, sum(c.refunded)::bigint AS refunded
  FROM (SELECT c.credit_type_id, c.captured, c.refunded, coalesce(r.route, '?') AS route,
               (to_timestamp(('x' || encode(substring(c.id for 8), 'hex'))::bit(64)::bigint / 1000000.0)
                AT TIME ZONE 'UTC')::date AS day
          FROM charges c LEFT JOIN price_rules r ON r.version = c.price_version AND r.rule = c.rule
         WHERE c.account_id = $1 AND c.captured > 0 AND ($2::smallint IS NULL OR c.credit_type_id = $2)
           AND c.id >= $3 AND c.id < $4) c
 GROUP BY GROUPING SETS ((c.credit_type_id), (c.credit_type_id, c.route), (c.credit_type_id, c.day))
 ORDER BY c.credit_type_id, c.day, used DESC, c.route

-- name: served
-- Over all accounts: how many charged requests each rule of each price version had, by day (UTC).
SELECT c.price_version AS version, c.rule, c.day, count(*) AS count
  FROM (SELECT price_version, rule,
               (to_timestamp(('x' || encode(substring(id for 8), 'hex'))::bit(64)::bigint / 1000000.0)
                AT TIME ZONE 'UTC')::date AS day
          FROM charges WHERE state IN (2, 5) AND id >= $1 AND id < $2) c
 GROUP BY c.price_version, c.rule, c.day
 ORDER BY c.day, c.price_version, c.rule

-- Each arm is cut to one page by its own index before they are put together: the view
-- `entries` would sort an account's whole history first.
-- name: page
WITH charged AS (
    SELECT c.id, 0 AS arm, 'charge' AS kind, c.credit_type_id, -c.captured AS amount, c.balance_after,
           coalesce(r.route, '') AS description, encode(c.id, 'hex') AS reference, coalesce(c.record, '{}') AS metadata,
           c.closed_at AS at, c.id AS charge_id, NULL::bigint AS grant_id,
           NULL::text[] AS routes
      FROM charges c LEFT JOIN price_rules r ON r.version = c.price_version AND r.rule = c.rule
     WHERE c.account_id = $1 AND c.captured > 0
       AND ($2::smallint IS NULL OR c.credit_type_id = $2)
       AND ($3::text[] IS NULL OR 'charge' = ANY ($3))
       AND c.id >= $4 AND c.id < $5 AND c.id <= $6 AND (c.id, 0) < ($6, $7::integer)
     ORDER BY c.id DESC
     LIMIT $8
), moved AS (
    SELECT m.id, 1 AS arm, m.kind, m.credit_type_id, m.amount, m.balance_after,
           coalesce(k.description, g.description, '') AS description,
           coalesce(k.reference, g.reference, encode(g.charge_id, 'hex')) AS reference,
           coalesce(k.metadata, g.metadata, '{}') AS metadata, m.at, g.charge_id, m.grant_id, l.routes
      FROM movements m
      LEFT JOIN controls k ON k.account_id = m.account_id AND k.cseq = m.cseq AND k.kind = 'w'
      LEFT JOIN grants g ON g.id = m.grant_id
      LEFT JOIN grant_reaches l ON l.id = g.reach_id
     WHERE m.account_id = $1
       AND ($2::smallint IS NULL OR m.credit_type_id = $2)
       AND ($3::text[] IS NULL OR m.kind = ANY ($3))
       AND m.id >= $4 AND m.id < $5 AND m.id <= $6 AND (m.id, 1) < ($6, $7)
     ORDER BY m.id DESC
     LIMIT $8
)
SELECT e.*, t.name AS credit_type, t.scale
  FROM (SELECT * FROM charged UNION ALL SELECT * FROM moved) e
  JOIN credit_types t ON t.id = e.credit_type_id
 ORDER BY e.id DESC, e.arm DESC
 LIMIT $8

-- name: of_account
SELECT c.key_id, c.credit_type_id, c.per, c.units, coalesce(u.used, 0) AS used, u.window_number
  FROM key_caps c
  JOIN api_keys k ON k.id = c.key_id
  LEFT JOIN limit_uses u ON u.whose = 'k' AND u.owner = c.key_id AND u.route = '\x00000000'
                        AND u.limit_id = set_byte(set_byte('\x43000000'::bytea, 2, c.credit_type_id), 1,
                                                  CASE c.per WHEN 'day' THEN 1 WHEN 'month' THEN 2 ELSE 0 END)
 WHERE k.account_id = $1
 ORDER BY c.key_id, c.credit_type_id, c.per

-- name: of_key
SELECT credit_type_id, per, units FROM key_caps WHERE key_id = $1

-- name: put
INSERT INTO key_caps AS c (key_id, credit_type_id, per, units) VALUES ($1, $2, $3, $4)
ON CONFLICT (key_id, credit_type_id, per) DO UPDATE SET units = excluded.units

-- name: lift
DELETE FROM key_caps WHERE key_id = $1 AND credit_type_id = $2 AND per = $3

-- name: spent
-- What is open counts as a whole: nobody knows yet what it will come to.
SELECT least(coalesce(sum(CASE WHEN state = 1 THEN held ELSE captured END), 0), 90000000000000)::bigint
  FROM charges
 WHERE account_id = $1 AND key_id = $2 AND credit_type_id = $3 AND state <> 6 AND id >= $4 AND id < $5

-- name: now_ms
SELECT (extract(epoch FROM now()) * 1000)::bigint

-- name: lock
LOCK TABLE credit_types IN SHARE ROW EXCLUSIVE MODE

-- name: every
SELECT id, name, scale FROM credit_types ORDER BY id

-- name: add
INSERT INTO credit_types (id, name, scale) VALUES ($1, $2, $3)

-- name: windows
SELECT id, window_units FROM credit_types ORDER BY id

-- name: set_windows
UPDATE credit_types t SET window_units = n.units
  FROM unnest($1::smallint[], $2::bigint[]) AS n (id, units)
 WHERE t.id = n.id AND t.window_units <> n.units

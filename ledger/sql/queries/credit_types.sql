-- name: lock
LOCK TABLE credit_types IN SHARE ROW EXCLUSIVE MODE

-- name: every
SELECT id, name, scale FROM credit_types ORDER BY id

-- name: add
INSERT INTO credit_types (id, name, scale) VALUES ($1, $2, $3)

-- name: windows
-- While a finding halts the shard, nothing new may be held; endings need no window.
SELECT id, CASE WHEN EXISTS (SELECT FROM findings WHERE resolved_at IS NULL AND effect = 'shard') THEN 0
                ELSE window_units END AS window_units
  FROM credit_types ORDER BY id

-- name: chosen_windows
SELECT id, window_units FROM credit_types ORDER BY id

-- name: set_windows
UPDATE credit_types t SET window_units = n.units
  FROM unnest($1::smallint[], $2::bigint[]) AS n (id, units)
 WHERE t.id = n.id AND t.window_units <> n.units

-- name: raise_windows
UPDATE credit_types t SET window_units = n.units
  FROM unnest($1::smallint[], $2::bigint[]) AS n (id, units)
 WHERE t.id = n.id AND t.window_units < n.units

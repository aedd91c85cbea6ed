-- name: existing
SELECT c.relname AS name
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'charges'::regclass
 ORDER BY c.relname

-- name: exists
SELECT to_regclass($1) IS NOT NULL

-- The whole lock at once: taking a small one and a greater one later would deadlock with posting,
-- which reads before it writes.
-- name: lock
LOCK TABLE charges IN ACCESS EXCLUSIVE MODE

-- name: hold_still
LOCK TABLE charges IN ACCESS SHARE MODE

-- name: create
CREATE TABLE {name} (LIKE charges INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)

-- name: move
WITH moved AS (DELETE FROM charges_default WHERE id >= $1 AND id < $2 RETURNING *)
INSERT INTO {name} SELECT * FROM moved

-- name: attach
ALTER TABLE charges ATTACH PARTITION {name} FOR VALUES FROM ('\x{low}') TO ('\x{high}')

-- name: count
SELECT count(*) AS charges, count(*) FILTER (WHERE state = 1) AS open FROM {name}

-- name: remember
-- A steward whose clock was set back makes a month again that was dropped.
INSERT INTO retired_partitions (name, from_id, to_id, charges) VALUES ($1, $2, $3, $4)
    ON CONFLICT (name) DO UPDATE SET charges = retired_partitions.charges + EXCLUDED.charges

-- name: drop
DROP TABLE {name}

-- name: complete_since
SELECT to_timestamp(max(('x' || encode(substring(to_id for 8), 'hex'))::bit(64)::bigint) / 1000000.0)
  FROM retired_partitions

-- name: lock
LOCK TABLE credit_types IN SHARE ROW EXCLUSIVE MODE

-- name: every
SELECT id, name, scale FROM credit_types ORDER BY id

-- name: add
INSERT INTO credit_types (id, name, scale) VALUES ($1, $2, $3)

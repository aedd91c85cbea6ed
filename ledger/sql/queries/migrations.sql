-- name: lock
SELECT pg_advisory_lock($1)

-- name: create_table
CREATE TABLE IF NOT EXISTS farebox_migrations (
    component  text        NOT NULL,
    number     integer     NOT NULL,
    name       text        NOT NULL,
    sha256     bytea       NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (component, number)
)

-- name: table_exists
SELECT to_regclass('farebox_migrations') IS NOT NULL

-- name: newest
SELECT component, max(number) AS n FROM farebox_migrations GROUP BY component

-- name: applied
SELECT number, sha256 FROM farebox_migrations WHERE component = $1 ORDER BY number

-- name: remember
INSERT INTO farebox_migrations (component, number, name, sha256) VALUES ($1, $2, $3, $4)

-- name: forget
DELETE FROM farebox_migrations WHERE component = $1 AND number = $2

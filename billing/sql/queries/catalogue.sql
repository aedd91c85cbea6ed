-- name: packages
-- Those of the other mode are not for sale here; an admin's belong to both.
SELECT name, source, definition, active, problem, version
  FROM billing.packages WHERE livemode IS NULL OR livemode = $1
 ORDER BY name

-- name: package
SELECT name, source, definition, active, problem, version FROM billing.packages WHERE name = $1 FOR UPDATE

-- name: display
SELECT name, hidden, sort FROM billing.package_display

-- name: of_product
SELECT definition FROM billing.packages WHERE livemode = $1 AND stripe_product = $2

-- name: create
INSERT INTO billing.packages (name, source, definition, active) VALUES ($1, 'admin', $2, $3)
ON CONFLICT (name) DO NOTHING
RETURNING true

-- name: change
UPDATE billing.packages
   SET definition = $2, active = $3, version = version + 1, updated_at = now()
 WHERE name = $1 AND (definition, active) IS DISTINCT FROM ($2, $3)

-- name: show
INSERT INTO billing.package_display (name, hidden, sort) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET hidden = $2, sort = $3, updated_at = now()

-- name: shown
SELECT hidden, sort FROM billing.package_display WHERE name = $1 FOR UPDATE

-- name: make
INSERT INTO secrets (purpose, secret) VALUES ($1, $2) ON CONFLICT (purpose) DO NOTHING

-- name: secret_of
SELECT secret FROM secrets WHERE purpose = $1

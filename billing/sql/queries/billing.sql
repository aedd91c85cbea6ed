-- name: installation
SELECT id FROM billing.installation

-- name: waiting
-- What only a person can go on with, of one mode; alerts know no mode.
SELECT (SELECT count(*) FROM billing.inbox WHERE livemode = $1 AND status IN ('dead', 'quarantined')) AS events,
       (SELECT count(*) FROM billing.orders WHERE livemode = $1 AND state IN ('review', 'quarantined')) AS orders,
       (SELECT count(*) FROM billing.disputes WHERE livemode = $1 AND open) AS disputes,
       (SELECT count(*) FROM billing.alerts WHERE resolved_at IS NULL) AS alerts

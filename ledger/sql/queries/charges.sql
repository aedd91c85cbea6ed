-- name: standing
SELECT s.epoch, s.last_q, c.state
  FROM shards s LEFT JOIN charges c ON c.id = $1
 WHERE s.id = $2

-- name: closed_of
-- Every request is asked after, so the ids go and come as one string: over a list the driver takes three times as long.
SELECT string_agg(id, ''::bytea) FROM charges
 WHERE id = ANY (ARRAY(SELECT substring($1::bytea FROM n FOR 12) FROM generate_series(1, length($1::bytea), 12) n))
   AND id >= $2 AND id <= $3 AND state IN (2, 3, 5, 6)

-- name: open_among
-- One statement, one moment: in an epoch later than the hold's, what is not there will never come.
SELECT s.epoch,
       ARRAY(SELECT c.id FROM charges c WHERE c.id = ANY ($1::bytea[]) AND c.id >= $2 AND c.id <= $3 AND c.state = 1) AS ids
  FROM shards s
 WHERE s.id = $4

-- name: ended_of
SELECT id FROM charges WHERE id = ANY ($1::bytea[]) AND id >= $2 AND id <= $3 AND state <> 1

-- name: by_id
SELECT c.id, c.account_id, c.key_id, t.name AS credit_type, t.scale, c.credit_type_id, c.state, c.reason, c.status,
       c.held, c.captured, c.refunded, c.written_off, c.uncollected, c.balance_after, c.price_version, c.rule,
       r.route, r.path, r.price, c.units, c.measured, c.record, c.note, c.plan, c.duration_ms, c.closed_at, c.deadline_ms
  FROM charges c
  JOIN credit_types t ON t.id = c.credit_type_id
  LEFT JOIN price_rules r ON r.version = c.price_version AND r.rule = c.rule
 WHERE c.id = $1

-- name: find
SELECT c.id, c.account_id, c.key_id, t.name AS credit_type, t.scale, c.credit_type_id, c.state, c.reason, c.status,
       c.held, c.captured, c.refunded, c.written_off, c.uncollected, c.balance_after, c.price_version, c.rule,
       r.route, r.path, r.price, c.units, c.measured, c.record, c.note, c.plan, c.duration_ms, c.closed_at, c.deadline_ms
  FROM charges c
  JOIN credit_types t ON t.id = c.credit_type_id
  LEFT JOIN price_rules r ON r.version = c.price_version AND r.rule = c.rule
 WHERE c.id >= $1 AND c.id < $2
   AND ($3::bigint IS NULL OR c.account_id = $3)
   AND ($4::bigint IS NULL OR c.key_id = $4)
   AND ($5::text IS NULL OR r.route = $5)
   AND ($6::smallint[] IS NULL OR c.state = ANY ($6))
   AND ($7::smallint IS NULL OR c.credit_type_id = $7)
 ORDER BY c.id DESC
 LIMIT $8

-- name: lock_account_of
SELECT true FROM accounts WHERE id = (SELECT account_id FROM charges WHERE id = $1) FOR NO KEY UPDATE

-- name: allocation
SELECT captured, allocation FROM charges WHERE id = $1

-- name: grants_named
SELECT id, kind, description FROM grants WHERE id = ANY ($1::bigint[])

-- name: refund_before
SELECT q.object_id AS grant_id, q.cseq, g.amount
  FROM control_requests q JOIN grants g ON g.id = q.object_id
 WHERE q.source = 'refund' AND q.source_id = $1

-- name: lock_charge
SELECT account_id, credit_type_id, captured, refunded, allocation, now() AS now FROM charges WHERE id = $1 FOR UPDATE

-- name: raise_refunded
UPDATE charges SET refunded = refunded + $2 WHERE id = $1

-- name: reaches_of_lots
SELECT r.routes FROM grants g LEFT JOIN grant_reaches r ON r.id = g.reach_id WHERE g.id = ANY ($1::bigint[])

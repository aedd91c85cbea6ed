-- NO KEY: who changes an account looks at its shard's row and must not wait for a posting that
-- waits for the account.
-- name: lock_shard
SELECT epoch, last_q, last_chain, last_sha FROM shards WHERE id = $1 FOR NO KEY UPDATE

-- name: advance
UPDATE shards SET last_q = $2, last_chain = $3, last_sha = $4, clock_ms = $5, posted_at = now() WHERE id = $1

-- name: newest_charge
SELECT id FROM charges WHERE id >= $1 AND id <= $2 ORDER BY id DESC LIMIT 1

-- name: charges
SELECT id, account_id, key_id, credit_type_id, held, state, price_version, rule, opened_epoch, opened_q,
       opened_aseq, captured, balance_after, closed_epoch, closed_q, closed_aseq, deadline_ms, reason,
       status, written_off, allocation, units, measured, record, uncollected, duration_ms, note
  FROM charges
 WHERE id = ANY ($1::bytea[]) AND id >= $2 AND id <= $3

-- Joined, not "= ANY": in a table of some thousand rows the planner would read all of it, and hold
-- each row against the whole array.
-- name: lock_accounts
SELECT a.id, a.status, a.aseq, a.cseq_applied, a.cseq_head
  FROM unnest($1::text::bigint[]) AS wanted (id) JOIN accounts a USING (id)
 ORDER BY a.id FOR NO KEY UPDATE OF a

-- name: pools
SELECT p.account_id, p.credit_type_id, p.remaining, p.held, p.debt, p.granted, p.refunded, p.captured, p.expired,
       p.clawed, p.written_off
  FROM unnest($1::text::bigint[]) AS wanted (account_id) JOIN pools p USING (account_id)

-- name: grants
SELECT g.id, g.account_id, g.credit_type_id, g.kind, g.amount, g.remaining, g.held, g.clawed, g.expired, g.state
  FROM unnest($1::text::bigint[]) AS wanted (id) JOIN grants g USING (id)

-- name: credit_types
SELECT id FROM credit_types

-- name: controls
SELECT k.account_id, k.cseq, k.kind, k.credit_type_id, k.object_id, k.amount, k.priority, k.expires_ms, k.flags,
       k.reach_id, k.entry_kind
  FROM unnest($1::bigint[], $2::bigint[]) AS wanted (account_id, cseq)
  JOIN controls k USING (account_id, cseq)

-- name: routes
SELECT r.version, r.rule, r.route
  FROM unnest($1::bigint[], $2::bigint[]) AS wanted (version, rule)
  JOIN price_rules r ON r.version = wanted.version AND r.rule = wanted.rule

-- name: save_accounts
UPDATE accounts a SET status = n.status, aseq = n.aseq, cseq_applied = n.cseq_applied
  FROM unnest($1::text::bigint[], $2::text::smallint[], $3::text::bigint[], $4::text::bigint[]) AS n (id, status, aseq, cseq_applied)
 WHERE a.id = n.id

-- name: insert_pool
INSERT INTO pools (account_id, credit_type_id, remaining, held, debt, granted, refunded, captured, expired, clawed,
                   written_off)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: save_pools
UPDATE pools p SET remaining = n.remaining, held = n.held, debt = n.debt, granted = n.granted, refunded = n.refunded,
                   captured = n.captured, expired = n.expired, clawed = n.clawed, written_off = n.written_off
  FROM unnest($1::text::bigint[], $2::text::smallint[], $3::text::bigint[], $4::text::bigint[], $5::text::bigint[],
              $6::text::bigint[], $7::text::bigint[], $8::text::bigint[], $9::text::bigint[], $10::text::bigint[],
              $11::text::bigint[])
       AS n (account_id, credit_type_id, remaining, held, debt, granted, refunded, captured, expired, clawed,
             written_off)
 WHERE p.account_id = n.account_id AND p.credit_type_id = n.credit_type_id

-- name: save_grants
UPDATE grants g SET remaining = n.remaining, held = n.held, clawed = n.clawed, expired = n.expired, state = n.state
  FROM unnest($1::text::bigint[], $2::text::bigint[], $3::text::bigint[], $4::text::bigint[], $5::text::bigint[],
              $6::text::text[]) AS n (id, remaining, held, clawed, expired, state)
 WHERE g.id = n.id

-- name: close_charges
UPDATE charges c
   SET deadline_ms = NULL, state = n.state, captured = n.captured, balance_after = n.balance_after,
       closed_epoch = n.closed_epoch, closed_q = n.closed_q, closed_aseq = n.closed_aseq, closed_at = n.closed_at,
       reason = n.reason, status = n.status, written_off = n.written_off, allocation = n.allocation,
       units = n.units::jsonb, measured = n.measured::jsonb, record = n.record::jsonb, uncollected = n.uncollected,
       duration_ms = n.duration_ms, note = n.note
  FROM unnest($1::bytea[], $2::smallint[], $3::bigint[], $4::bigint[], $5::integer[], $6::bigint[],
              $7::bigint[], $8::timestamptz[], $9::smallint[], $10::smallint[], $11::bigint[], $12::bytea[],
              $13::text[], $14::text[], $15::text[], $16::bigint[], $17::integer[], $18::text[])
       AS n (id, state, captured, balance_after, closed_epoch, closed_q, closed_aseq, closed_at, reason, status,
             written_off, allocation, units, measured, record, uncollected, duration_ms, note)
 WHERE c.id = n.id AND c.id >= $19 AND c.id <= $20

-- name: insert_movement
INSERT INTO movements (account_id, aseq, id, credit_type_id, kind, amount, balance_after, cseq, grant_id, epoch, q, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

-- name: insert_overtaken
INSERT INTO overtaken_endings (charge_id, account_id, epoch, q, aseq, balance_after) VALUES ($1, $2, $3, $4, $5, $6)

-- name: insert_dead
INSERT INTO dead_facts (shard, epoch, q, account_id, fact, why) VALUES ($1, $2, $3, $4, $5, $6)

-- A capture of a whole hold names the hold alone, and that died before it. Both begin with their
-- kind, two bytes of length, and the hold's id.
-- name: attribute_dead
UPDATE dead_facts f SET account_id = h.account_id
  FROM dead_facts h
 WHERE (f.shard, f.epoch) = ($1, $2) AND f.q = ANY ($3::bigint[])
   AND (h.shard, h.epoch) = ($1, $2) AND h.q < f.q AND h.account_id IS NOT NULL
   AND substring(h.fact FROM 1 FOR 1) = 'H' AND substring(h.fact FROM 4 FOR 12) = substring(f.fact FROM 4 FOR 12)

-- name: insert_batch
INSERT INTO batches (shard, epoch, q_from, q_to, chain, clock_ms, sha, seal, first_charge, last_charge, charges_sha,
                     controls, others_sha)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: insert_line
INSERT INTO batch_lines (shard, epoch, q_from, credit_type_id, book, route, amount) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: limit_uses
SELECT u.whose, u.owner, u.route, u.limit_id, u.window_number, u.used, u.account_id
  FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bytea[]) AS wanted (whose, owner, route, limit_id)
  JOIN limit_uses u USING (whose, owner, route, limit_id)

-- name: save_limit_uses
INSERT INTO limit_uses AS u (whose, owner, route, limit_id, window_number, used, account_id)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[])
ON CONFLICT (whose, owner, route, limit_id) DO UPDATE
   SET window_number = excluded.window_number, used = excluded.used

-- name: save_hold_uses
INSERT INTO hold_uses (hold_id, account_id, uses)
SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[])
ON CONFLICT (hold_id) DO NOTHING

-- name: drop_hold_uses
DELETE FROM hold_uses WHERE hold_id = ANY ($1::bytea[])
-- name: save_claims
INSERT INTO claims AS k (account_id, key_hash, fingerprint, charge_id, claimed_at)
SELECT account_id, key_hash, fingerprint, charge_id, to_timestamp(claimed_ms / 1000.0)
  FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[])
       AS n (account_id, key_hash, fingerprint, charge_id, claimed_ms)
ON CONFLICT (account_id, key_hash) DO UPDATE
   SET fingerprint = excluded.fingerprint, charge_id = excluded.charge_id, claimed_at = excluded.claimed_at

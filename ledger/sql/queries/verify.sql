-- Every check returns (account_id, detail) for what is wrong, nothing for what is right.

-- name: next_accounts
SELECT min(id) AS first, max(id) AS last, sum(aseq)::bigint AS facts
  FROM (SELECT id, aseq, sum(aseq) OVER (ORDER BY id) AS together, row_number() OVER (ORDER BY id) AS n
          FROM (SELECT id, aseq FROM accounts WHERE id > $1 ORDER BY id LIMIT $2) a) a
 WHERE together <= $3 OR n = 1

-- name: complete
SELECT id FROM accounts WHERE id BETWEEN $1 AND $2 AND created_at >= $3 AND aseq <= $4 ORDER BY id

-- name: next_charges
SELECT id FROM charges WHERE id > $1 ORDER BY id LIMIT $2

-- name: shards
SELECT id FROM shards ORDER BY id

-- I17
-- name: dead_facts
SELECT account_id, format('fact %s-%s of shard %s broke a rule: %s', epoch, q, shard, why) AS detail
  FROM dead_facts WHERE resolved_at IS NULL ORDER BY shard, epoch, q

-- name: quarantined
SELECT id AS account_id, 'is quarantined' AS detail FROM accounts WHERE status = 3 ORDER BY id

-- I10
-- name: overdue_holds
SELECT account_id, format('hold %s is open, its deadline was %s', encode(id, 'hex'), to_timestamp(deadline_ms / 1000)) AS detail
  FROM charges
 WHERE state = 1 AND deadline_ms < (extract(epoch FROM now()) - 90) * 1000
 ORDER BY deadline_ms

-- name: unresolved
SELECT account_id, format('finding %s is open: %s: %s', id, check_name, detail) AS detail
  FROM findings WHERE resolved_at IS NULL AND effect IS NOT NULL ORDER BY id

-- A month that is noted as dropped excuses its charges from being checked.
-- name: months_dropped_are_gone
SELECT NULL::bigint AS account_id, format('%s is noted as dropped, and has charges', r.name) AS detail
  FROM retired_partitions r
 WHERE EXISTS (SELECT FROM charges c WHERE c.id >= r.from_id AND c.id < r.to_id)

-- name: gateways_differ
SELECT NULL::bigint AS account_id,
       format('running gateways read different price files: %s',
              string_agg(format('%s on %s', encode(file_sha256, 'hex')::char(8), host), ', ' ORDER BY started_at)) AS detail
  FROM gateways
 WHERE seen_at > now() - interval '30 seconds' AND file_sha256 IS NOT NULL
HAVING count(DISTINCT file_sha256) > 1

-- I7
-- name: controls_continuous
SELECT a.id AS account_id,
       format('%s controls up to number %s, but the head is %s', count(k.cseq), coalesce(max(k.cseq), 0), a.cseq_head) AS detail
  FROM accounts a LEFT JOIN controls k ON k.account_id = a.id
 WHERE a.id BETWEEN $1 AND $2
 GROUP BY a.id
HAVING count(k.cseq) <> a.cseq_head OR coalesce(max(k.cseq), 0) <> a.cseq_head

-- I16
-- name: pool_identity
SELECT account_id, format('granted %s + refunded %s is not captured %s + remaining %s + held %s + expired %s + clawed %s - debt %s',
                          granted, refunded, captured, remaining, held, expired, clawed, debt) AS detail
  FROM pools
 WHERE account_id BETWEEN $1 AND $2 AND granted + refunded <> captured + remaining + held + expired + clawed - debt

-- I3
-- name: pool_is_its_lots
SELECT p.account_id, format('pool %s has %s remaining and %s held, its lots %s and %s', p.credit_type_id,
                            p.remaining, p.held, coalesce(sum(g.remaining), 0), coalesce(sum(g.held), 0)) AS detail
  FROM pools p LEFT JOIN grants g USING (account_id, credit_type_id)
 WHERE p.account_id BETWEEN $1 AND $2
 GROUP BY p.account_id, p.credit_type_id
HAVING coalesce(sum(g.remaining), 0) <> p.remaining OR coalesce(sum(g.held), 0) <> p.held

-- name: held_is_open_charges
SELECT p.account_id, format('pool %s holds %s, its open charges %s', p.credit_type_id, p.held, coalesce(sum(c.held), 0)) AS detail
  FROM pools p LEFT JOIN charges c ON c.account_id = p.account_id AND c.credit_type_id = p.credit_type_id AND c.state = 1
 WHERE p.account_id BETWEEN $1 AND $2
 GROUP BY p.account_id, p.credit_type_id
HAVING coalesce(sum(c.held), 0) <> p.held

-- name: open_allocations
SELECT account_id, allocation FROM charges WHERE state = 1 AND account_id BETWEEN $1 AND $2

-- name: lots_held
SELECT account_id, id, held FROM grants WHERE account_id BETWEEN $1 AND $2 AND held > 0

-- Each applied control that moves a balance left its movement, with its amount; none that is not applied did.
-- name: controls_were_applied
SELECT a.id AS account_id, format('control %s (%s, %s) left %s', coalesce(k.cseq, m.cseq), k.kind, k.amount,
                                  coalesce(m.amount::text, 'nothing')) AS detail
  FROM accounts a
  JOIN controls k ON k.account_id = a.id
  LEFT JOIN movements m ON m.account_id = a.id AND m.cseq = k.cseq
  LEFT JOIN grants g ON g.id = k.object_id AND k.kind IN ('g', 'e')
 WHERE a.id BETWEEN $1 AND $2
   AND CASE WHEN k.cseq > a.cseq_applied OR k.kind IN ('f', 'k', 'c', 's') THEN m.cseq IS NOT NULL
            WHEN k.kind = 'w' THEN m.amount IS DISTINCT FROM -k.amount
            -- a grant that found no free place leaves nothing, and enters by a later control
            ELSE m.amount IS DISTINCT FROM k.amount
                 AND NOT (m.cseq IS NULL AND (g.state = 'queued' OR (g.enters > 0 AND
                          EXISTS (SELECT FROM controls later WHERE later.account_id = a.id AND later.cseq > k.cseq
                                     AND later.kind = 'e' AND later.object_id = k.object_id))
                          OR (g.state = 'clawed' AND g.remaining + g.held = 0))) END

-- I18: granted, refunded, clawed back and expired since ever, from the history
-- name: totals_from_history
SELECT p.account_id, format('pool %s: granted %s/%s, refunded %s/%s, clawed %s/%s, expired %s/%s (pool/history)', p.credit_type_id,
                            p.granted, m.granted, p.refunded, m.refunded, p.clawed, m.clawed, p.expired, m.expired) AS detail
  FROM pools p
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(amount) FILTER (WHERE amount > 0 AND kind <> 'refund'), 0) AS granted,
              coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS refunded,
              coalesce(-sum(amount) FILTER (WHERE amount < 0 AND kind <> 'expiry'), 0) AS clawed,
              coalesce(-sum(amount) FILTER (WHERE kind = 'expiry'), 0) AS expired
         FROM movements
        WHERE account_id = p.account_id AND credit_type_id = p.credit_type_id) m
 WHERE p.account_id BETWEEN $1 AND $2
   AND (p.granted, p.refunded, p.clawed, p.expired) IS DISTINCT FROM (m.granted, m.refunded, m.clawed, m.expired)

-- name: refunds_of_charges
SELECT c.account_id, format('charge %s says %s refunded, its grants %s', encode(c.id, 'hex'), c.refunded, coalesce(g.amount, 0)) AS detail
  FROM charges c LEFT JOIN (SELECT charge_id, sum(amount) AS amount FROM grants
                             WHERE account_id BETWEEN $1 AND $2 AND charge_id IS NOT NULL GROUP BY charge_id) g ON g.charge_id = c.id
 WHERE c.account_id BETWEEN $1 AND $2 AND c.refunded <> coalesce(g.amount, 0)

-- I18
-- name: totals_from_charges
SELECT p.account_id, format('pool %s: captured %s and written off %s, its charges %s and %s', p.credit_type_id, p.captured,
                            p.written_off, coalesce(sum(c.captured), 0), coalesce(sum(c.written_off), 0)) AS detail
  FROM pools p
  JOIN accounts a ON a.id = p.account_id AND a.created_at >= $3
  LEFT JOIN charges c ON c.account_id = p.account_id AND c.credit_type_id = p.credit_type_id
 WHERE p.account_id BETWEEN $1 AND $2
 GROUP BY p.account_id, p.credit_type_id
HAVING coalesce(sum(c.captured), 0) <> p.captured OR coalesce(sum(c.written_off), 0) <> p.written_off

-- I2: every fact of the account is a charge's hold or ending, a movement, or a control that moves nothing.
-- A charge that expired and was collected late after all has had three.
-- name: facts_counted
SELECT a.id AS account_id, format('%s facts are accounted for, the last has number %s', n.facts, a.aseq) AS detail
  FROM accounts a
 CROSS JOIN LATERAL (
       SELECT (SELECT coalesce(sum(CASE WHEN opened_aseq IS NULL THEN 0
                                        WHEN closed_aseq IS NULL OR closed_aseq = opened_aseq THEN 1
                                        WHEN state = 5 THEN 3
                                        ELSE 2 END), 0)
                 FROM charges WHERE account_id = a.id)
            + (SELECT count(*) FROM movements WHERE account_id = a.id)
            + a.cseq_applied
            - (SELECT count(*) FROM movements WHERE account_id = a.id AND cseq IS NOT NULL) AS facts) n
 WHERE a.id BETWEEN $1 AND $2 AND a.created_at >= $3 AND n.facts <> a.aseq

-- I15: each grant has the request that asked for it, and what was asked for; one in an admin's name, that in the audit.
-- What billing asked for is held against its payments there.
-- name: grants_were_asked_for
SELECT k.account_id, format('control %s gives %s for %s %s: %s', k.cseq, k.amount, k.source, k.source_id,
                            CASE WHEN r.source IS NULL THEN 'nobody asked for it' WHEN g.id IS NULL THEN 'the grant differs'
                                 ELSE 'the audit does not name it' END) AS detail
  FROM controls k
  LEFT JOIN control_requests r ON r.source = k.source AND r.source_id = k.source_id AND r.account_id = k.account_id
                              AND r.cseq = k.cseq AND r.object_id = k.object_id
                              AND r.request LIKE format('grant %% %s %s%s', k.credit_type_id, k.amount, ' limited ' || k.reach_id)
  LEFT JOIN grants g ON g.id = k.object_id AND g.account_id = k.account_id AND g.credit_type_id = k.credit_type_id
                    AND g.amount = k.amount AND g.expires_ms = k.expires_ms AND g.priority = k.priority
                    AND g.reach_id IS NOT DISTINCT FROM k.reach_id
 WHERE k.account_id BETWEEN $1 AND $2 AND k.kind = 'g'
   AND (r.source IS NULL OR g.id IS NULL
        OR k.source IN ('grant', 'adjust', 'refund')
           AND NOT EXISTS (SELECT FROM audit a
                            WHERE a.actor = k.actor
                              AND a.action = CASE k.source WHEN 'refund' THEN 'charge.refund' ELSE k.source END
                              AND a.target = CASE k.source WHEN 'grant' THEN 'grt_' || g.id WHEN 'adjust' THEN 'acc_' || k.account_id
                                                           ELSE encode(g.charge_id, 'hex') END))

-- A later control brings a scheduled or queued grant in, limited as it was given.
-- name: limits_of_grants
SELECT k.account_id, format('control %s brings grant %s in for other routes than it was given for', k.cseq, k.object_id) AS detail
  FROM controls k JOIN grants g ON g.id = k.object_id
 WHERE k.account_id BETWEEN $1 AND $2 AND k.kind = 'e' AND k.reach_id IS DISTINCT FROM g.reach_id

-- name: limited_lots
SELECT g.account_id, g.id, r.routes
  FROM grants g JOIN grant_reaches r ON r.id = g.reach_id
 WHERE g.account_id BETWEEN $1 AND $2

-- Of accounts that have limited grants, with the route that each charge was priced by.
-- name: charges_of_limited
SELECT c.account_id, c.id, c.allocation, r.route
  FROM charges c JOIN price_rules r ON r.version = c.price_version AND r.rule = c.rule
 WHERE c.account_id = ANY ($1::bigint[]) AND c.allocation IS NOT NULL

-- name: stray_movements
SELECT m.account_id, format('fact %s-%s moved a balance, and no batch has it', m.epoch, m.q) AS detail
  FROM movements m JOIN accounts a ON a.id = m.account_id
  LEFT JOIN LATERAL (SELECT q_from FROM batches b WHERE b.shard = a.shard AND b.epoch = m.epoch AND b.q_to >= m.q
                      ORDER BY b.q_to LIMIT 1) b ON true
 WHERE m.account_id BETWEEN $1 AND $2 AND (b.q_from IS NULL OR b.q_from > m.q)

-- Charges from $1 to $2. A charge without account is of the first shard.
-- name: stray_charges
SELECT c.account_id, format('charge %s is not among those of its batch', encode(c.id, 'hex')) AS detail
  FROM charges c
  LEFT JOIN accounts a ON a.id = c.account_id
 CROSS JOIN LATERAL (VALUES (c.opened_epoch, c.opened_q), (c.closed_epoch, c.closed_q)) v (epoch, q)
  LEFT JOIN LATERAL (SELECT q_from, seal, first_charge, last_charge FROM batches b
                      WHERE b.shard = coalesce(a.shard, 0) AND b.epoch = v.epoch AND b.q_to >= v.q
                      ORDER BY b.q_to LIMIT 1) b ON true
 WHERE c.id BETWEEN $1 AND $2 AND v.q IS NOT NULL
   AND (b.q_from IS NULL OR b.q_from > v.q
        OR b.seal IS NOT NULL AND (c.id BETWEEN b.first_charge AND b.last_charge) IS NOT TRUE)

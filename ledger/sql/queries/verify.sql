-- Every check returns (account_id, detail) for what is wrong, nothing for what is right.

-- name: next_accounts
SELECT min(id) AS first, max(id) AS last FROM (SELECT id FROM accounts WHERE id > $1 ORDER BY id LIMIT $2) a

-- name: shards
SELECT id, last_sha FROM shards ORDER BY id

-- name: batches
SELECT b.shard, b.epoch, b.q_from, b.q_to, b.chain, b.clock_ms, b.sha,
       coalesce((SELECT jsonb_agg(jsonb_build_array(l.credit_type_id, l.book, l.route, l.amount))
                   FROM batch_lines l
                  WHERE (l.shard, l.epoch, l.q_from) = (b.shard, b.epoch, b.q_from)), '[]') AS lines
  FROM batches b
 WHERE b.shard = $1 AND (b.epoch, b.q_from) > ($2, $3)
 ORDER BY b.epoch, b.q_from
 LIMIT $4

-- I1, I14
-- name: lines_balance
SELECT NULL::bigint AS account_id,
       format('lines of batch %s-%s sum to %s in credit type %s', epoch, q_from, sum(amount), credit_type_id) AS detail
  FROM batch_lines
 GROUP BY shard, epoch, q_from, credit_type_id
HAVING sum(amount) <> 0

-- I14
-- name: books_are_the_pools
WITH pooled AS (
    SELECT p.credit_type_id, v.book, sum(v.amount) AS amount
      FROM pools p
     CROSS JOIN LATERAL (VALUES ('credits', p.remaining + p.held), ('debt', -p.debt),
                                ('issued', p.clawed - p.granted - p.refunded), ('breakage', p.expired),
                                ('revenue', p.captured + p.written_off), ('writeoff', -p.written_off)) v (book, amount)
     GROUP BY p.credit_type_id, v.book
), booked AS (
    SELECT credit_type_id, book, sum(amount) AS amount FROM batch_lines GROUP BY credit_type_id, book
)
SELECT NULL::bigint AS account_id,
       format('book %s of credit type %s is %s, the pools say %s', book, credit_type_id,
              coalesce(b.amount, 0), coalesce(p.amount, 0)) AS detail
  FROM pooled p FULL JOIN booked b USING (credit_type_id, book)
 WHERE coalesce(b.amount, 0) <> coalesce(p.amount, 0)

-- I17
-- name: dead_facts
SELECT account_id, format('fact %s-%s of shard %s broke a rule: %s', epoch, q, shard, why) AS detail
  FROM dead_facts WHERE resolved_at IS NULL ORDER BY shard, epoch, q

-- name: quarantined
SELECT id AS account_id, 'is quarantined' AS detail FROM accounts WHERE status = 3 ORDER BY id

-- I10
-- name: overdue_holds
SELECT account_id, format('hold %s is open %s s after its deadline', encode(id, 'hex'),
                          (extract(epoch FROM now())::bigint - deadline_ms / 1000)) AS detail
  FROM charges
 WHERE state = 1 AND deadline_ms < (extract(epoch FROM now()) - 90) * 1000
 ORDER BY deadline_ms

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
   AND CASE WHEN k.cseq > a.cseq_applied OR k.kind IN ('f', 'k') THEN m.cseq IS NOT NULL
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

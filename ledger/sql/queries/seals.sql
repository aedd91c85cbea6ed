-- What a batch did to rows, as one sha256. JSON arrays keep every value apart from the next; times
-- are counted in microseconds, whatever the time zone. `others` makes that part of a seal and checks
-- it years later; `charges` only checks, and `ledger/charge_digest.py` writes the same when it is made.

-- name: charges
-- $1 epoch, $2 first q of each batch, $3 the last q of the last, $4 and $5 bounds of the charges looked at
WITH told AS (
    SELECT c.id, v.q,
           CASE v.part WHEN 'opened' THEN sha256(convert_to(json_build_array('opened', encode(c.id, 'hex'),
                    c.opened_epoch, c.opened_q, c.opened_aseq, c.account_id, c.key_id, c.held, c.price_version,
                    c.rule, c.credit_type_id)::text || coalesce(to_json(c.plan)::text, ''), 'UTF8'))
                -- Of an expired charge only what `overtaken_endings` would keep of it.
                ELSE sha256(convert_to(CASE c.state WHEN 4 THEN
                    json_build_array('expired', encode(c.id, 'hex'), c.closed_epoch, c.closed_q, c.closed_aseq, c.balance_after)
                    ELSE json_build_array('ended', encode(c.id, 'hex'), c.closed_epoch, c.closed_q, c.closed_aseq,
                        (extract(epoch FROM c.closed_at) * 1000000)::bigint, c.account_id, c.held, c.state, c.captured, c.balance_after,
                        c.reason, c.status, c.duration_ms, c.written_off, c.uncollected, encode(c.allocation, 'hex'), c.units, c.measured,
                        c.record, c.note) END::text, 'UTF8')) END AS sha
      FROM charges c
     CROSS JOIN LATERAL (VALUES ('opened', c.opened_epoch, c.opened_q), ('ended', c.closed_epoch, c.closed_q)) v (part, epoch, q)
     WHERE c.id >= $4 AND c.id <= $5 AND v.epoch = $1 AND v.q BETWEEN ($2::bigint[])[1] AND $3
    UNION ALL
    SELECT charge_id, q, sha256(convert_to(json_build_array('expired', encode(charge_id, 'hex'), epoch, q, aseq,
                                                            balance_after)::text, 'UTF8'))
      FROM overtaken_endings WHERE epoch = $1 AND q BETWEEN ($2::bigint[])[1] AND $3
)
SELECT width_bucket(q, $2::bigint[]) AS batch, decode(min(encode(id, 'hex') COLLATE "C"), 'hex') AS first_charge,
       decode(max(encode(id, 'hex') COLLATE "C"), 'hex') AS last_charge,
       sha256(string_agg(sha, ''::bytea ORDER BY q, id, sha)) AS sha
  FROM told
 GROUP BY 1

-- name: others
-- $1 shard, $2 epoch, $3 first q of each batch, $4 the last q of the last, $5 to $7 batch, account, number of controls
WITH told AS (
    SELECT width_bucket(m.q, $3::bigint[]) AS batch, m.q AS place, 'm' AS kind,
           json_build_array('moved', m.account_id, m.aseq, encode(m.id, 'hex'), m.credit_type_id, m.kind, m.amount,
                            m.balance_after, m.cseq, m.grant_id, m.epoch, m.q,
                            (extract(epoch FROM m.at) * 1000000)::bigint)::text AS row
      FROM movements m
     WHERE m.epoch = $2 AND m.q BETWEEN ($3::bigint[])[1] AND $4
    UNION ALL
    SELECT width_bucket(d.q, $3::bigint[]), d.q, 'd',
           json_build_array('dead', d.epoch, d.q, d.account_id, encode(d.fact, 'hex'), d.why)::text
      FROM dead_facts d
     WHERE d.shard = $1 AND d.epoch = $2 AND d.q BETWEEN ($3::bigint[])[1] AND $4
    UNION ALL
    SELECT w.batch, w.place, 'o',
           json_build_array('ordered', k.account_id, k.cseq, k.kind, k.credit_type_id, k.object_id, k.amount, k.priority,
                            k.expires_ms, k.flags, k.actor, k.source, k.source_id, k.entry_kind, k.description,
                            k.reference, k.metadata, (extract(epoch FROM k.created_at) * 1000000)::bigint,
                            g.kind, g.amount, g.priority, (extract(epoch FROM g.effective_at) * 1000000)::bigint,
                            g.expires_ms, encode(g.charge_id, 'hex'), g.description, g.reference, g.metadata, g.actor,
                            (extract(epoch FROM g.created_at) * 1000000)::bigint)::text
           -- Only where there is something to say: what was sealed before there were limited grants stays as it was.
           || CASE WHEN r.id IS NULL THEN '' ELSE json_build_array('limited', k.reach_id, g.reach_id, to_jsonb(r.routes))::text END
      FROM unnest($5::integer[], $6::bigint[], $7::bigint[]) WITH ORDINALITY w (batch, account_id, cseq, place)
      JOIN controls k ON k.account_id = w.account_id AND k.cseq = w.cseq
      LEFT JOIN grants g ON g.id = k.object_id AND k.kind IN ('g', 'e')
      LEFT JOIN grant_reaches r ON r.id = coalesce(k.reach_id, g.reach_id)
)
SELECT batch, sha256(string_agg(sha256(convert_to(row, 'UTF8')), ''::bytea ORDER BY kind COLLATE "C", place, row COLLATE "C")) AS sha
  FROM told
 GROUP BY batch

-- name: last_seal
SELECT seal FROM batches WHERE shard = $1 AND seal IS NOT NULL ORDER BY epoch DESC, q_from DESC LIMIT 1

-- name: batches
-- $4 batches at most, and $5 facts: at least one batch.
SELECT b.shard, b.epoch, b.q_from, b.q_to, b.chain, b.clock_ms, b.sha, b.seal, b.first_charge, b.last_charge,
       b.charges_sha, b.controls, b.others_sha,
       coalesce((SELECT jsonb_agg(jsonb_build_array(l.credit_type_id, l.book, l.route, l.amount))
                   FROM batch_lines l
                  WHERE (l.shard, l.epoch, l.q_from) = (b.shard, b.epoch, b.q_from)), '[]') AS lines
  FROM (SELECT *, row_number() OVER in_order AS n, sum(q_to - q_from + 1) OVER in_order AS facts
          FROM (SELECT * FROM batches WHERE shard = $1 AND (epoch, q_from) > ($2, $3) ORDER BY epoch, q_from LIMIT $4) b
        WINDOW in_order AS (ORDER BY epoch, q_from)) b
 WHERE n = 1 OR facts <= $5
 ORDER BY b.epoch, b.q_from

-- name: last_sha
SELECT last_sha FROM shards WHERE id = $1

-- name: batch_ends
SELECT EXISTS (SELECT FROM batches WHERE shard = $1 AND epoch = $2 AND q_to = $3)

-- A batch without a seal is of a release that made none.
-- name: passed
SELECT EXISTS (SELECT FROM batches
                WHERE shard = $1 AND epoch = $2 AND q_to = $3 AND sha = $4 AND coalesce(seal, $5) = $5)

-- Of months that were dropped, single charges can no longer be checked.
-- name: charges_kept_from
SELECT to_id FROM retired_partitions ORDER BY to_id DESC LIMIT 1

-- I14
-- name: pooled
SELECT p.credit_type_id, v.book, sum(v.amount) AS amount
  FROM pools p JOIN accounts a ON a.id = p.account_id
 CROSS JOIN LATERAL (VALUES ('credits', p.remaining + p.held), ('debt', -p.debt),
                            ('issued', p.clawed - p.granted - p.refunded), ('breakage', p.expired),
                            ('revenue', p.captured + p.written_off), ('writeoff', -p.written_off)) v (book, amount)
 WHERE a.shard = $1
 GROUP BY p.credit_type_id, v.book

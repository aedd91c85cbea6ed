-- name: take
SELECT s.id AS shard, coalesce(b.epoch, 0) AS epoch, coalesce(b.q_to, 0) AS q, s.last_sha AS sha,
       coalesce((SELECT seal FROM batches WHERE shard = s.id AND seal IS NOT NULL
                  ORDER BY epoch DESC, q_from DESC LIMIT 1), decode(repeat('00', 32), 'hex')) AS seal,
       $4 + coalesce(n.batches, 0) AS batches, $5 + coalesce(n.facts, 0) AS facts,
       (SELECT count(*) FROM retired_partitions) AS retired
  FROM shards s
  LEFT JOIN LATERAL (SELECT epoch, q_to FROM batches WHERE shard = s.id ORDER BY epoch DESC, q_from DESC LIMIT 1) b ON true
  LEFT JOIN LATERAL (SELECT count(*) AS batches, sum(q_to - q_from + 1)::bigint AS facts FROM batches
                      WHERE shard = s.id AND (epoch, q_from) > ($2, $3)) n ON true
 WHERE s.id = $1

-- name: recorded
-- One pass over the charges of a time: by hour of their beginning, by credit type, by how long they took from the
-- hold to its ending. $3: durations (ms) at which the next bucket begins. Reasons 21 to 27 but 25 are faults of upstream or gateway.
SELECT c.hour, c.credit_type_id, c.bucket,
       grouping(c.hour) = 0 AS by_hour, grouping(c.credit_type_id) = 0 AS by_type,
       count(*) AS requests,
       count(*) FILTER (WHERE c.state IN (2, 5)) AS charged,
       count(*) FILTER (WHERE c.state IN (3, 4)) AS uncharged,
       count(*) FILTER (WHERE c.state = 6) AS observed,
       count(*) FILTER (WHERE c.state = 1) AS open,
       count(*) FILTER (WHERE c.status >= 500 OR c.state = 4 OR (c.reason BETWEEN 21 AND 27 AND c.reason <> 25)) AS failed,
       count(*) FILTER (WHERE c.refunded > 0) AS given_back,
       coalesce(sum(c.captured) FILTER (WHERE c.state IN (2, 5)), 0)::bigint AS captured,
       coalesce(sum(c.refunded), 0)::bigint AS refunded
  FROM (SELECT c.credit_type_id, c.state, c.reason, c.status, c.captured, c.refunded,
               CASE WHEN c.state IN (2, 3)
                    THEN width_bucket((extract(epoch FROM c.closed_at - b.at) * 1000)::bigint, $3::bigint[]) END AS bucket,
               date_trunc('hour', b.at) AS hour
          FROM charges c
         CROSS JOIN LATERAL (SELECT to_timestamp(('x' || encode(substring(c.id for 8), 'hex'))::bit(64)::bigint / 1000000.0) AS at) b
         WHERE c.id >= $1 AND c.id < $2) c
 GROUP BY GROUPING SETS ((c.hour), (c.credit_type_id), (c.bucket))
 ORDER BY c.hour, c.credit_type_id, c.bucket

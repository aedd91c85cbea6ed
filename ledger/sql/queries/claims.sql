-- One statement, one moment: what older epochs did about the key is in it.
-- name: read
SELECT s.epoch, k.charge_id, k.fingerprint, c.state, r.charge_id AS answered, r.fingerprint AS answered_to, r.status,
       r.headers, r.body
  FROM shards s
  LEFT JOIN claims k ON k.account_id = $1 AND k.key_hash = $2
  LEFT JOIN charges c ON c.id = k.charge_id
  LEFT JOIN replies r ON r.account_id = $1 AND r.key_hash = $2
 WHERE s.id = $3

-- An open charge keeps its key, however old it is.
-- name: sweep
WITH gone AS (
    DELETE FROM claims
     WHERE (account_id, key_hash) IN (
           SELECT k.account_id, k.key_hash
             FROM claims k
            WHERE k.claimed_at < now() - make_interval(secs => $1)
              AND NOT EXISTS (SELECT FROM charges c WHERE c.id = k.charge_id AND c.state = 1)
            ORDER BY k.claimed_at
            LIMIT $2)
    RETURNING true)
SELECT count(*) FROM gone

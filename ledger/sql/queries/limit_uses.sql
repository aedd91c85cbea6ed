-- name: of_caller
SELECT whose, owner, route, limit_id, window_number, used
  FROM limit_uses
 WHERE (whose = 'a' AND owner = $1) OR (whose = 'k' AND owner = $2) OR (whose = 'e' AND owner = 0)

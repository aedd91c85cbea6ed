-- name: relations
SELECT CASE c.relkind WHEN 'S' THEN format('SEQUENCE %s %s..%s%s', c.relname, s.seqmin, s.seqmax, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END)
                      WHEN 'v' THEN format('VIEW %s AS%s', c.relname, E'\n' || pg_get_viewdef(c.oid))
                      WHEN 'p' THEN format('TABLE %s PARTITION BY %s', c.relname, pg_get_partkeydef(c.oid))
                      ELSE format('TABLE %s%s', c.relname, ' WITH (' || array_to_string(c.reloptions, ', ') || ')') END AS line
  FROM pg_class c LEFT JOIN pg_sequence s ON s.seqrelid = c.oid
 WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
   AND NOT c.relispartition AND c.relname <> 'farebox_migrations'
 ORDER BY c.relkind, c.relname

-- name: columns
SELECT format('%s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
              CASE WHEN a.attidentity <> '' THEN ' IDENTITY' ELSE coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') END) AS line
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND c.relname <> 'farebox_migrations'
 ORDER BY c.relname, a.attnum

-- name: constraints
SELECT format('%s %s', c.relname, pg_get_constraintdef(k.oid)) AS line
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE k.connamespace = $1::regnamespace AND NOT c.relispartition AND c.relname <> 'farebox_migrations'
   AND k.contype IN ('c', 'f', 'p', 'u', 'x')
 ORDER BY 1

-- name: indexes
SELECT pg_get_indexdef(i.indexrelid) AS line
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
 WHERE c.relnamespace = $1::regnamespace AND NOT c.relispartition AND c.relname <> 'farebox_migrations'
 ORDER BY 1

-- name: triggers
SELECT pg_get_triggerdef(t.oid) AS line
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relnamespace = $1::regnamespace AND NOT t.tgisinternal AND NOT c.relispartition
 ORDER BY 1

-- name: functions
SELECT pg_get_functiondef(p.oid) AS line
  FROM pg_proc p
 WHERE p.pronamespace = $1::regnamespace
 ORDER BY p.proname

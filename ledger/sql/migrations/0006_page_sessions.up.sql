-- A session that began with an API key names it, so that it ends with the key. Runs beside the previous
-- release: adds a column that may be empty. That release lets such a session go on to its usual end.
ALTER TABLE page_sessions ADD COLUMN key_id bigint REFERENCES api_keys;

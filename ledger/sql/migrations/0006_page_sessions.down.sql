-- Sessions that began with a key go on as if they had begun with a link, so they are ended first.
DELETE FROM page_sessions WHERE key_id IS NOT NULL;
ALTER TABLE page_sessions DROP COLUMN key_id;

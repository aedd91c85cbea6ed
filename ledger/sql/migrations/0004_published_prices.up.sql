-- Admins may publish prices too, and prices may live in the database instead of in files.
-- Runs beside the previous release: adds columns that it need not fill, and widens a check. A gateway of
-- that release cannot read a text that says `prices: database` and keeps the prices before it.
ALTER TABLE price_versions
    ADD COLUMN home    text NOT NULL DEFAULT 'file' CHECK (home IN ('file', 'database')), -- where the text says that prices live
    ADD COLUMN in_file boolean, -- a price file is known to have had this text; none: as `source` says
    DROP CONSTRAINT price_versions_source_check,
    ADD CHECK (source IN ('file', 'rollback', 'admin'));

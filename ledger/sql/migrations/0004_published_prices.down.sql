-- lossy: which prices live in the database; what admins published counts as files then, and a file is taken again.
UPDATE price_versions SET source = 'file' WHERE source = 'admin';
ALTER TABLE price_versions
    DROP COLUMN home,
    DROP COLUMN in_file,
    DROP CONSTRAINT price_versions_source_check,
    ADD CHECK (source IN ('file', 'rollback'));

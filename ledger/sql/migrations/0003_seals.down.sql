-- lossy: the seals of what batches did to charges, movements and controls, so heads exported until now cannot be checked.
ALTER TABLE findings DROP COLUMN effect;
DROP TABLE overtaken_endings;
DROP INDEX movements_in_journal;
ALTER TABLE batches
    DROP COLUMN first_charge,
    DROP COLUMN last_charge,
    DROP COLUMN charges_sha,
    DROP COLUMN controls,
    DROP COLUMN others_sha,
    DROP COLUMN seal;

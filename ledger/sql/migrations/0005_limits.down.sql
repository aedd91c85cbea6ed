-- lossy: the caps of keys, and how far quotas and allowances are used. Controls that set caps stay in the log.
DROP TABLE limit_uses;
DROP TABLE key_caps;
ALTER TABLE controls
    DROP CONSTRAINT controls_kind_check,
    ADD CONSTRAINT controls_kind_check CHECK (kind IN ('g', 'w', 'f', 'k', 'e')) NOT VALID;

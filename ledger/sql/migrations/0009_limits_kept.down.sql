-- lossy: what open holds have used of quotas; they keep it when Redis loses its data. Controls that say what keys have spent stay in the log.
DROP TABLE hold_uses;
ALTER TABLE controls
    DROP CONSTRAINT controls_kind_check,
    ADD CONSTRAINT controls_kind_check CHECK (kind IN ('g', 'w', 'f', 'k', 'e', 'c', 'p')) NOT VALID;

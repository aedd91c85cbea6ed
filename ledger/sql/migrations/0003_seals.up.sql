-- What a batch did to rows of other tables is sealed; findings say what was done about them.
-- Runs beside the previous release: adds columns that may be empty, and a table. A batch that the
-- previous release posts has no seal; its sha is part of the next one that has. The new index holds
-- posting up for as long as it takes to build, seconds for a million movements.
ALTER TABLE batches
    ADD COLUMN first_charge bytea, -- the ids its charges lie between; none: it has no charges
    ADD COLUMN last_charge  bytea,
    ADD COLUMN charges_sha  bytea CHECK (length(charges_sha) = 32), -- of what it says of charges
    ADD COLUMN controls     bigint[], -- those it applied: account, number, account, number...
    ADD COLUMN others_sha   bytea CHECK (length(others_sha) = 32), -- of movements, controls, dead facts
    ADD COLUMN seal         bytea CHECK (length(seal) = 32), -- sha256(previous seal, sha, the columns above)
    ADD CHECK (num_nulls(seal, charges_sha, controls, others_sha) IN (0, 4)),
    ADD CHECK ((first_charge IS NULL) = (last_charge IS NULL));
CREATE INDEX movements_in_journal ON movements (epoch, q);

-- A charge that expired and was collected late after all: the ending that its row no longer shows.
CREATE TABLE overtaken_endings (
    charge_id     bytea  PRIMARY KEY CHECK (length(charge_id) = 12),
    account_id    bigint NOT NULL REFERENCES accounts,
    epoch         bigint NOT NULL,
    q             bigint NOT NULL,
    aseq          bigint NOT NULL,
    balance_after bigint NOT NULL
);
CREATE INDEX overtaken_endings_of_account ON overtaken_endings (account_id);
CREATE INDEX overtaken_endings_in_journal ON overtaken_endings (epoch, q);
CREATE TRIGGER overtaken_endings_append_only BEFORE UPDATE OR DELETE ON overtaken_endings
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- account: quarantined it; shard: no new holds while it is open; none: it is only told.
ALTER TABLE findings ADD COLUMN effect text CHECK (effect IN ('account', 'shard'));

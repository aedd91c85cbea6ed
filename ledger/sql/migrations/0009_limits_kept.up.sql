-- What open holds have used of quotas, allowances and caps, so that they can give it back also when
-- Redis has lost its data meanwhile; and controls of kind s, which say what a key has spent before it
-- gets a cap. Runs beside the previous release: adds a table, and a kind. What that release posts is
-- not in the table, and keeps its use as it did; it does not know the kind, so set caps when every
-- gateway is of this one. The check on controls is taken anew, which reads the table once.
CREATE TABLE hold_uses (
    hold_id    bytea  PRIMARY KEY CHECK (length(hold_id) = 12),
    account_id bigint NOT NULL,
    uses       bytea  NOT NULL CHECK (length(uses) > 0 AND length(uses) % 20 = 0) -- ledger.limits.Loan
);
CREATE INDEX hold_uses_of_account ON hold_uses (account_id);

ALTER TABLE controls
    DROP CONSTRAINT controls_kind_check,
    ADD CONSTRAINT controls_kind_check CHECK (kind IN ('g', 'w', 'f', 'k', 'e', 'c', 'p', 's'));

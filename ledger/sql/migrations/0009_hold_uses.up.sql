-- What open holds have used of quotas, allowances and caps, so that they can give it back also when
-- Redis has lost its data meanwhile. Runs beside the previous release: adds a table, changes none; what
-- that release posts is not in it, and keeps its use as it did.
CREATE TABLE hold_uses (
    hold_id    bytea  PRIMARY KEY CHECK (length(hold_id) = 12),
    account_id bigint NOT NULL,
    uses       bytea  NOT NULL CHECK (length(uses) > 0 AND length(uses) % 20 = 0) -- ledger.limits.Loan
);
CREATE INDEX hold_uses_of_account ON hold_uses (account_id);

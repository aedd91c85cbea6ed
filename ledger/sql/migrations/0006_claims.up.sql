-- Idempotency-Keys: which charge each belongs to, and the answers that routes keep. Runs beside the previous
-- release, which knows nothing of it: it charges a repeat again, and posts the facts of claims as unreadable, so
-- send the header only when every gateway is of this one.
-- Folded from the journal. A day old they mean nothing any more.
CREATE TABLE claims (
    account_id  bigint      NOT NULL REFERENCES accounts,
    key_hash    bytea       NOT NULL CHECK (length(key_hash) = 16), -- the key's sha256, shortened
    fingerprint bytea       NOT NULL CHECK (length(fingerprint) = 16), -- of what was asked for
    charge_id   bytea       NOT NULL CHECK (length(charge_id) = 12), -- the last hold that was given the key
    claimed_at  timestamptz NOT NULL,
    PRIMARY KEY (account_id, key_hash)
) WITH (fillfactor = 70);
CREATE INDEX claims_in_order ON claims (claimed_at);

-- Written by gateways before the client has the last byte: the first answer under a key stands.
CREATE TABLE replies (
    account_id  bigint      NOT NULL REFERENCES accounts,
    key_hash    bytea       NOT NULL CHECK (length(key_hash) = 16),
    fingerprint bytea       NOT NULL CHECK (length(fingerprint) = 16),
    charge_id   bytea       NOT NULL CHECK (length(charge_id) = 12),
    status      smallint    NOT NULL CHECK (status BETWEEN 200 AND 599),
    headers     bytea       NOT NULL,
    body        bytea, -- NULL: too large, or dropped to make room; then a repeat is told of the charge only
    bytes       integer     NOT NULL CHECK (bytes >= 0), -- what it counts of its account's room; 0 without a body
    kept_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key_hash)
);
CREATE INDEX replies_in_order ON replies (account_id, kept_at);
CREATE INDEX replies_old ON replies (kept_at);

CREATE TABLE reply_rooms (
    account_id bigint PRIMARY KEY REFERENCES accounts,
    bytes      bigint NOT NULL CHECK (bytes >= 0) -- of all its replies together
) WITH (fillfactor = 50);

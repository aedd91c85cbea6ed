-- What keys may spend, and how far quotas, allowances and caps are used: what Redis is told anew when
-- it lost its data. Runs beside the previous release, which knows nothing of it: it posts the facts of
-- uses as unreadable, so write quotas, allowances and caps only when every gateway is of this one.
-- The check on controls is taken anew, which reads the table once, a second for a million rows.
CREATE TABLE key_caps (
    key_id         bigint   NOT NULL REFERENCES api_keys,
    credit_type_id smallint NOT NULL REFERENCES credit_types,
    per            text     NOT NULL CHECK (per IN ('total', 'day', 'month')),
    units          bigint   NOT NULL CHECK (units BETWEEN 0 AND 90000000000000),
    PRIMARY KEY (key_id, credit_type_id, per)
);

-- Folded from the journal: the newest window of each limit that anybody has used.
CREATE TABLE limit_uses (
    whose         text   NOT NULL CHECK (whose IN ('k', 'a', 'e')), -- a key's, an account's, everyone's
    owner         bigint NOT NULL CHECK (owner >= 0),
    route         bytea  NOT NULL CHECK (length(route) = 4), -- zeros: all routes
    limit_id      bytea  NOT NULL CHECK (length(limit_id) = 4),
    window_number bigint NOT NULL CHECK (window_number >= 0), -- of the day or month in UTC; 0: for ever
    used          bigint NOT NULL CHECK (used >= 0), -- requests, or units of a key's cap
    account_id    bigint NOT NULL, -- whose load brings it back; 0: everyone's
    PRIMARY KEY (whose, owner, route, limit_id)
) WITH (fillfactor = 70);
CREATE INDEX limit_uses_of_account ON limit_uses (account_id);

ALTER TABLE controls
    DROP CONSTRAINT controls_kind_check,
    ADD CONSTRAINT controls_kind_check CHECK (kind IN ('g', 'w', 'f', 'k', 'e', 'c'));

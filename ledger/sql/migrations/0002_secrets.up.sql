-- Secrets that all gateways share. Runs beside the previous release: adds a table, changes none.
CREATE TABLE secrets (
    purpose text        PRIMARY KEY CHECK (purpose <> ''),
    secret  bytea       NOT NULL CHECK (length(secret) = 32), -- random, made by the first gateway that needs it
    made_at timestamptz NOT NULL DEFAULT now()
);

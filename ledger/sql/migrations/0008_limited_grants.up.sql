-- Grants that may be used on some routes only. Runs beside the previous release, which makes none of
-- them and cannot read the account of one in Redis (it answers 503 for it): so limit grants only when
-- every gateway is of this one. Adds a table and columns that may be empty. For the index, which gets no
-- row, grants are read once, a second for a million.
CREATE TABLE grant_reaches (
    id         integer     PRIMARY KEY CHECK (id BETWEEN 1 AND 4096),
    sha256     bytea       NOT NULL UNIQUE CHECK (length(sha256) = 32), -- of the names, which an index may not hold
    routes     text[]      NOT NULL CHECK (cardinality(routes) >= 1), -- names, sorted
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER grant_reaches_append_only BEFORE UPDATE OR DELETE ON grant_reaches
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE grants ADD COLUMN reach_id integer REFERENCES grant_reaches; -- none: of all routes
ALTER TABLE controls ADD COLUMN reach_id integer REFERENCES grant_reaches; -- of the grant that it brings
CREATE INDEX grants_limited ON grants (account_id, credit_type_id) WHERE reach_id IS NOT NULL AND state = 'live';

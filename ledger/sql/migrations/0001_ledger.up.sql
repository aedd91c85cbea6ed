-- The ledger's first schema: shards, accounts, pools, controls, grants, charges, batches and what
-- admins need around them. Adds tables only, so it runs beside anything.
--
-- Amounts are whole numbers of a credit type's smallest unit, at most 9e13. Times that Redis also
-- knows are milliseconds since 1970 (`_ms`), so that both stores compare the very same number;
-- 281474976710655 (2^48 - 1) means never.

-- One Redis connection opens one session; its number is never used again, in any epoch.
CREATE SEQUENCE session_numbers AS bigint MINVALUE 1 MAXVALUE 4294967295 NO CYCLE;

-- How far Postgres has followed each shard's journal. The row lock makes posting single-file.
CREATE TABLE shards (
    id            smallint PRIMARY KEY CHECK (id >= 0),
    epoch         bigint   NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    incarnation   text     NOT NULL DEFAULT '',   -- the Redis process and dataset this epoch lives on
    last_q        bigint   NOT NULL DEFAULT 0 CHECK (last_q >= 0),
    last_chain    text     NOT NULL DEFAULT '0000000000000000' CHECK (length(last_chain) = 16),
    last_sha      bytea    NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (length(last_sha) = 32),
    open_at_start jsonb    NOT NULL DEFAULT '{}', -- credit type id -> [open holds, their units] when the epoch began
    clock_ms      bigint   NOT NULL DEFAULT 0,    -- the shard's clock at the last posted entry
    posted_at     timestamptz
);
INSERT INTO shards (id) VALUES (0);

CREATE TABLE credit_types (
    id           smallint    PRIMARY KEY CHECK (id BETWEEN 1 AND 255),
    name         text        NOT NULL UNIQUE CHECK (name <> ''),
    scale        smallint    NOT NULL CHECK (scale BETWEEN 0 AND 12), -- decimal places; never changes
    -- how far Redis may be ahead of Postgres; here, so that whoever opens an epoch knows it
    window_units bigint      NOT NULL DEFAULT 1000000 CHECK (window_units BETWEEN 1 AND 90000000000000),
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE accounts (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    external_id  text        UNIQUE CHECK (length(external_id) BETWEEN 1 AND 200
                             AND external_id !~ '^(acc|key|grt)_[0-9]+$'), -- must not look like our own ids
    name         text        NOT NULL DEFAULT '',
    email        text        NOT NULL DEFAULT '',
    plan         text        NOT NULL DEFAULT '',
    shard        smallint    NOT NULL DEFAULT 0 REFERENCES shards,
    status       smallint    NOT NULL DEFAULT 1 CHECK (status BETWEEN 1 AND 3), -- 1 active, 2 frozen, 3 quarantined
    aseq         bigint      NOT NULL DEFAULT 0, -- the last balance-changing fact folded
    cseq_head    bigint      NOT NULL DEFAULT 0, -- the last control ordered
    cseq_applied bigint      NOT NULL DEFAULT 0, -- the last control seen applied in the journal
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (cseq_applied <= cseq_head)
) WITH (fillfactor = 70);
CREATE INDEX accounts_waiting ON accounts (shard, id) WHERE cseq_head > cseq_applied;

-- An account's balance of one credit type: remaining - debt is available. The totals live here for
-- good, so that old charges may be dropped:
--   granted + refunded = captured + remaining + held + expired + clawed - debt
CREATE TABLE pools (
    account_id     bigint   NOT NULL REFERENCES accounts,
    credit_type_id smallint NOT NULL REFERENCES credit_types,
    remaining      bigint   NOT NULL DEFAULT 0 CHECK (remaining >= 0),
    held           bigint   NOT NULL DEFAULT 0 CHECK (held >= 0),
    debt           bigint   NOT NULL DEFAULT 0 CHECK (debt >= 0),
    floor          bigint   NOT NULL DEFAULT 0 CHECK (floor >= 0),
    granted        bigint   NOT NULL DEFAULT 0 CHECK (granted >= 0),
    refunded       bigint   NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    captured       bigint   NOT NULL DEFAULT 0 CHECK (captured >= 0),
    expired        bigint   NOT NULL DEFAULT 0 CHECK (expired >= 0),
    clawed         bigint   NOT NULL DEFAULT 0 CHECK (clawed >= 0),
    written_off    bigint   NOT NULL DEFAULT 0 CHECK (written_off >= 0),
    PRIMARY KEY (account_id, credit_type_id)
) WITH (fillfactor = 70);

-- Everything ever asked of the control log, with its answer: a repeat gets the first answer, also
-- where no control came of it (a grant for later, a clawback of one).
CREATE TABLE control_requests (
    source     text        NOT NULL CHECK (source <> ''),
    source_id  text        NOT NULL CHECK (source_id <> ''),
    account_id bigint      NOT NULL REFERENCES accounts,
    request    text        NOT NULL, -- canonical text of what was asked: the same source must ask the same
    cseq       bigint,
    object_id  bigint,
    asked_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, source_id)
);

-- The control log: changes Postgres orders Redis to make, numbered without gap per account.
CREATE TABLE controls (
    account_id     bigint      NOT NULL REFERENCES accounts,
    cseq           bigint      NOT NULL CHECK (cseq >= 1),
    kind           text        NOT NULL CHECK (kind IN ('g', 'w', 'f', 'k', 'e')),
    credit_type_id smallint    NOT NULL DEFAULT 0,
    object_id      bigint      NOT NULL DEFAULT 0 CHECK (object_id >= 0), -- grant or key, by kind
    amount         bigint      NOT NULL DEFAULT 0 CHECK (amount BETWEEN 0 AND 90000000000000),
    priority       smallint    NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 255),
    expires_ms     bigint      NOT NULL DEFAULT 281474976710655,
    flags          smallint    NOT NULL DEFAULT 0,
    actor          text        NOT NULL CHECK (actor <> ''),
    source         text        NOT NULL,
    source_id      text        NOT NULL,
    entry_kind     text        CHECK (entry_kind IN ('clawback', 'adjustment')), -- how history names a `w`
    description    text        NOT NULL DEFAULT '',
    reference      text,
    metadata       jsonb       NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, cseq),
    UNIQUE (source, source_id), -- one payment, one grant
    CHECK (kind NOT IN ('g', 'w', 'e') OR (amount >= 1 AND credit_type_id >= 1)),
    CHECK ((kind = 'w') = (entry_kind IS NOT NULL))
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER controls_append_only BEFORE UPDATE OR DELETE ON controls
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Credits put in. A live grant is a lot.
CREATE TABLE grants (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id     bigint      NOT NULL REFERENCES accounts,
    credit_type_id smallint    NOT NULL REFERENCES credit_types,
    kind           text        NOT NULL CHECK (kind IN ('purchase', 'subscription', 'promotion', 'adjustment', 'refund')),
    amount         bigint      NOT NULL CHECK (amount BETWEEN 1 AND 90000000000000),
    remaining      bigint      NOT NULL DEFAULT 0 CHECK (remaining >= 0),
    held           bigint      NOT NULL DEFAULT 0 CHECK (held >= 0),
    clawed         bigint      NOT NULL DEFAULT 0 CHECK (clawed >= 0),
    expired        bigint      NOT NULL DEFAULT 0 CHECK (expired >= 0),
    priority       smallint    NOT NULL DEFAULT 100 CHECK (priority BETWEEN 0 AND 255), -- lower burns first
    effective_at   timestamptz,
    expires_ms     bigint      NOT NULL DEFAULT 281474976710655 CHECK (expires_ms BETWEEN 1 AND 281474976710655),
    -- scheduled: not due yet; pending: ordered; queued: waits for one of 32 places; the last three never change
    state          text        NOT NULL CHECK (state IN ('scheduled', 'pending', 'queued', 'live', 'spent', 'expired', 'clawed')),
    enters         smallint    NOT NULL DEFAULT 0, -- how often it was ordered to enter
    charge_id      bytea       CHECK (length(charge_id) = 12), -- the charge a refund gives back
    description    text        NOT NULL DEFAULT '',
    reference      text        CHECK (length(reference) BETWEEN 1 AND 200),
    metadata       jsonb       NOT NULL DEFAULT '{}',
    actor          text        NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, reference), -- the outside id that makes a repeat harmless
    CHECK (remaining + held + clawed + expired <= amount),
    CHECK ((kind = 'refund') = (charge_id IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX grants_open ON grants (account_id, credit_type_id) WHERE state IN ('scheduled', 'pending', 'queued', 'live');
CREATE INDEX grants_waiting ON grants (account_id, effective_at) WHERE state IN ('scheduled', 'queued');
-- Not on `remaining` too: it changes with every posting, which would then touch the index.
CREATE INDEX grants_due ON grants (expires_ms) WHERE state = 'live' AND expires_ms < 281474976710655;
CREATE INDEX grants_of_account ON grants (account_id, id);
CREATE INDEX grants_of_charge ON grants (charge_id) WHERE charge_id IS NOT NULL;

-- One priced request and its outcome. Partitioned by month on the time-ordered id. No foreign keys:
-- posting has checked what they would check, and a row is written per request.
CREATE TABLE charges (
    id             bytea    NOT NULL PRIMARY KEY CHECK (length(id) = 12),
    account_id     bigint,   -- none: observed without a key
    key_id         bigint,
    held           bigint   NOT NULL CHECK (held BETWEEN 0 AND 90000000000000), -- observed: what it would have cost
    captured       bigint   NOT NULL DEFAULT 0,
    refunded       bigint   NOT NULL DEFAULT 0,
    balance_after  bigint,
    opened_q       bigint   NOT NULL,
    opened_aseq    bigint,
    closed_q       bigint,
    closed_aseq    bigint,   -- none: captured whole, which moves no balance
    closed_at      timestamptz,
    deadline_ms    bigint,   -- of an open hold
    opened_epoch   integer  NOT NULL,
    closed_epoch   integer,
    price_version  integer  NOT NULL,
    rule           smallint NOT NULL,
    credit_type_id smallint NOT NULL,
    state          smallint NOT NULL CHECK (state BETWEEN 1 AND 6), -- 1 open 2 captured 3 void 4 expired 5 late 6 observed
    reason         smallint,
    status         smallint, -- the upstream's HTTP status; 0 or none: it gave none
    duration_ms    integer,
    written_off    bigint   CHECK (written_off > 0), -- done, but the balance was gone when it was booked
    uncollected    bigint   CHECK (uncollected > 0), -- the cost above the hold
    allocation     bytea,    -- the lots it was held from, packed as in the hold fact
    units          jsonb,    -- measured before the call
    measured       jsonb,    -- measured on the response
    record         jsonb,
    note           text,
    CHECK (captured BETWEEN 0 AND held),
    CHECK (refunded BETWEEN 0 AND captured),
    CHECK ((state = 1) = (closed_q IS NULL)),
    CHECK ((state = 1) = (deadline_ms IS NOT NULL)),
    CHECK (captured = 0 OR state IN (2, 5))
) PARTITION BY RANGE (id);
CREATE INDEX charges_of_account ON charges (account_id, id);
CREATE INDEX charges_overdue ON charges (deadline_ms) WHERE state = 1;
-- What no month covers (a gateway's clock far off) is kept here until the partition keeper moves it.
CREATE TABLE charges_default PARTITION OF charges DEFAULT;

CREATE TABLE retired_partitions (
    name       text        PRIMARY KEY,
    from_id    bytea       NOT NULL,
    to_id      bytea       NOT NULL,
    charges    bigint      NOT NULL,
    retired_at timestamptz NOT NULL DEFAULT now()
);

-- What moved a balance and is no charge: applied grants, clawbacks, expired lots.
CREATE TABLE movements (
    account_id     bigint   NOT NULL REFERENCES accounts,
    aseq           bigint   NOT NULL,
    id             bytea    NOT NULL CHECK (length(id) = 12), -- sorts with the ids of charges
    credit_type_id smallint NOT NULL REFERENCES credit_types,
    kind           text     NOT NULL CHECK (kind IN ('purchase', 'subscription', 'promotion', 'adjustment', 'refund', 'clawback', 'expiry')),
    amount         bigint   NOT NULL, -- signed
    balance_after  bigint   NOT NULL,
    cseq           bigint,
    grant_id       bigint   REFERENCES grants,
    epoch          bigint   NOT NULL,
    q              bigint   NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (account_id, aseq)
);
CREATE INDEX movements_in_order ON movements (account_id, id);

-- The price file's texts (`${NAME}` unexpanded), each once, and the versions that made one current.
CREATE TABLE price_texts (
    sha256 bytea PRIMARY KEY CHECK (length(sha256) = 32),
    text   text  NOT NULL
);
CREATE TABLE price_versions (
    version      integer     PRIMARY KEY CHECK (version >= 1),
    sha256       bytea       NOT NULL REFERENCES price_texts,
    source       text        NOT NULL CHECK (source IN ('file', 'rollback')),
    actor        text        NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE price_rules (
    version     integer  NOT NULL REFERENCES price_versions,
    rule        smallint NOT NULL CHECK (rule >= 0),
    route       text     NOT NULL,
    path        text     NOT NULL,
    methods     text[]   NOT NULL,
    credit_type text     NOT NULL,
    price       jsonb    NOT NULL,
    PRIMARY KEY (version, rule)
);
CREATE TABLE price_refusals (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway_id text        NOT NULL,
    sha256     bytea       NOT NULL CHECK (length(sha256) = 32),
    problems   jsonb       NOT NULL,
    at         timestamptz NOT NULL DEFAULT now()
);

-- What an account's owner sees as history. A charge appears when it has taken something.
CREATE VIEW entries AS
    SELECT c.account_id, c.id, 'charge' AS kind, c.credit_type_id, -c.captured AS amount, c.balance_after,
           coalesce(r.route, '') AS description, encode(c.id, 'hex') AS reference,
           coalesce(c.record, '{}') AS metadata, c.closed_at AS at, c.id AS charge_id, NULL::bigint AS grant_id
      FROM charges c LEFT JOIN price_rules r ON r.version = c.price_version AND r.rule = c.rule
     WHERE c.captured > 0
    UNION ALL
    SELECT m.account_id, m.id, m.kind, m.credit_type_id, m.amount, m.balance_after,
           coalesce(k.description, g.description, ''), coalesce(k.reference, g.reference, encode(g.charge_id, 'hex')),
           coalesce(k.metadata, g.metadata, '{}'), m.at, g.charge_id, m.grant_id
      FROM movements m
      LEFT JOIN controls k ON k.account_id = m.account_id AND k.cseq = m.cseq AND k.kind = 'w'
      LEFT JOIN grants g ON g.id = m.grant_id;

CREATE TABLE batches (
    shard     smallint NOT NULL REFERENCES shards,
    epoch     bigint   NOT NULL,
    q_from    bigint   NOT NULL CHECK (q_from >= 1),
    q_to      bigint   NOT NULL,
    chain     text     NOT NULL,
    clock_ms  bigint   NOT NULL,
    sha       bytea    NOT NULL CHECK (length(sha) = 32), -- sha256(previous sha, canonical rows)
    posted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, epoch, q_from),
    UNIQUE (shard, epoch, q_to),
    CHECK (q_to >= q_from)
);

-- Double entry, per posted batch.
CREATE TABLE batch_lines (
    shard          smallint NOT NULL,
    epoch          bigint   NOT NULL,
    q_from         bigint   NOT NULL,
    credit_type_id smallint NOT NULL REFERENCES credit_types,
    book           text     NOT NULL CHECK (book IN ('issued', 'credits', 'debt', 'revenue', 'breakage', 'writeoff')),
    route          text     NOT NULL DEFAULT '', -- of revenue
    amount         bigint   NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (shard, epoch, q_from, credit_type_id, book, route),
    FOREIGN KEY (shard, epoch, q_from) REFERENCES batches
);

CREATE FUNCTION batch_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM batch_lines
                WHERE (shard, epoch, q_from) = (NEW.shard, NEW.epoch, NEW.q_from)
                GROUP BY credit_type_id HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'lines of batch %-%-% do not balance', NEW.shard, NEW.epoch, NEW.q_from
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER batch_lines_balance AFTER INSERT ON batch_lines
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION batch_balances();
CREATE TRIGGER batch_lines_append_only BEFORE UPDATE OR DELETE ON batch_lines
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER batches_append_only BEFORE UPDATE OR DELETE ON batches
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE api_keys (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint      NOT NULL REFERENCES accounts,
    name       text        NOT NULL DEFAULT '',
    prefix     text        NOT NULL CHECK (length(prefix) = 12),  -- shown, so that a key can be recognised
    sha256     bytea       NOT NULL UNIQUE CHECK (length(sha256) = 32),
    scopes     smallint    NOT NULL CHECK (scopes BETWEEN 1 AND 3), -- bit 1 call, bit 2 manage
    status     smallint    NOT NULL DEFAULT 1 CHECK (status IN (1, 2)), -- 1 active, 2 revoked
    expires_ms bigint      NOT NULL DEFAULT 281474976710655,
    replaces   bigint      REFERENCES api_keys,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CHECK ((status = 2) = (revoked_at IS NOT NULL))
);
CREATE INDEX api_keys_of_account ON api_keys (account_id, id);

-- One row per running serve.
CREATE TABLE gateways (
    id            text        PRIMARY KEY,
    host          text        NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT now(),
    seen_at       timestamptz NOT NULL DEFAULT now(),
    price_version integer     REFERENCES price_versions,
    file_sha256   bytea,
    refusal       jsonb
);

CREATE TABLE admins (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text        NOT NULL UNIQUE CHECK (name <> ''),
    token_sha256 bytea       NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);
CREATE TABLE sign_in_links (
    token_sha256 bytea       PRIMARY KEY CHECK (length(token_sha256) = 32),
    account_id   bigint      NOT NULL REFERENCES accounts,
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz
);
CREATE TABLE page_sessions (
    token_sha256 bytea       PRIMARY KEY CHECK (length(token_sha256) = 32),
    account_id   bigint      REFERENCES accounts,
    admin_id     bigint      REFERENCES admins,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    CHECK ((account_id IS NULL) <> (admin_id IS NULL))
);
CREATE INDEX page_sessions_expiry ON page_sessions (expires_at);

CREATE TABLE audit (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT now(),
    actor  text        NOT NULL CHECK (actor <> ''),
    action text        NOT NULL,
    target text        NOT NULL,
    detail jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_of_target ON audit (target, id);
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Facts that broke a rule, in full. Posting went on without them.
CREATE TABLE dead_facts (
    shard       smallint    NOT NULL,
    epoch       bigint      NOT NULL,
    q           bigint      NOT NULL,
    account_id  bigint,
    fact        bytea       NOT NULL, -- as it stood in the journal
    why         text        NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    PRIMARY KEY (shard, epoch, q)
);
CREATE TABLE findings (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    check_name  text        NOT NULL,
    account_id  bigint,
    detail      text        NOT NULL,
    found_at    timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz
);
CREATE UNIQUE INDEX findings_open ON findings (check_name, coalesce(account_id, 0), md5(detail)) WHERE resolved_at IS NULL;

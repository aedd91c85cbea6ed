-- What accounts are on: numbered, so that Redis can say it in four bytes. Runs beside the previous
-- release, which cannot push the controls ordered here and answers 503 for accounts that Redis has
-- on a plan: put accounts on plans only when every gateway is of this one.
CREATE TABLE plans (
    number     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK (number BETWEEN 1 AND 4294967295),
    name       text        NOT NULL, -- empty: features alone
    features   text[]      NOT NULL, -- what subscriptions opened beside it; sorted, each once
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (name <> '' OR features <> '{}'),
    UNIQUE (name, features)
);

-- What an account's subscriptions say; without a row its own plan counts.
CREATE TABLE subscribed_plans (
    account_id bigint      PRIMARY KEY REFERENCES accounts,
    name       text        NOT NULL, -- empty: the account's own
    features   text[]      NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE charges ADD COLUMN plan text; -- which the account was on; null: none, or nobody asked

-- Plans were words that nothing depended on: now each is ordered of Redis. Who orders something else for
-- such an account waits here, and does not take the same number.
SELECT id FROM accounts WHERE plan <> '' ORDER BY id FOR NO KEY UPDATE;

ALTER TABLE controls
    DROP CONSTRAINT controls_kind_check,
    ADD CONSTRAINT controls_kind_check CHECK (kind IN ('g', 'w', 'f', 'k', 'e', 'c', 'p'));
CREATE INDEX accounts_of_plans ON accounts (plan) WHERE plan <> '';
CREATE INDEX subscribed_plans_names ON subscribed_plans (name);
CREATE INDEX controls_of_plans ON controls (account_id, cseq) WHERE kind = 'p';

INSERT INTO plans (name, features) SELECT DISTINCT plan, '{}'::text[] FROM accounts WHERE plan <> '';
INSERT INTO controls (account_id, cseq, kind, object_id, actor, source, source_id, description, metadata)
SELECT a.id, a.cseq_head + 1, 'p', p.number, 'farebox', 'migration', 'plan of ' || a.id, '', '{}'
  FROM accounts a JOIN plans p ON p.name = a.plan AND p.features = '{}';
UPDATE accounts SET cseq_head = cseq_head + 1 WHERE plan <> '';

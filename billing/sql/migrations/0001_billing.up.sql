-- Selling credits: what billing knows of Stripe and of purchases. Runs beside the previous release:
-- adds a schema with tables of its own, changes nothing that is there.
--
-- Money is in minor units of `currency` (`_minor`), never negative unless said. Credits are smallest
-- units of their credit type. Stripe's ids are text. `livemode` is part of every key: test and live
-- objects never meet.

CREATE SCHEMA billing;

-- Marks what this installation made at Stripe, so that several may share one Stripe account. One row.
CREATE TABLE billing.installation (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id       text    NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', '')
);
INSERT INTO billing.installation DEFAULT VALUES;

-- Packages that are not in the price file: an admin's, or mirrored from Stripe's products.
CREATE TABLE billing.packages (
    name             text        PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    source           text        NOT NULL CHECK (source IN ('admin', 'stripe')),
    livemode         boolean,    -- of the Stripe product; null for an admin's
    stripe_product   text,
    definition       jsonb       NOT NULL, -- what is sold, as billing/packages/offers.py writes and reads it
    active           boolean     NOT NULL DEFAULT true,
    problem          text,       -- why it cannot be sold as it stands; null: it can
    version          integer     NOT NULL DEFAULT 1 CHECK (version >= 1), -- of the definition
    fetched_at       timestamptz, -- when Stripe was asked
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (livemode, stripe_product),
    CHECK ((source = 'stripe') = (stripe_product IS NOT NULL)),
    CHECK ((source = 'stripe') = (livemode IS NOT NULL))
);

-- What an admin says about any package, whoever defines it.
CREATE TABLE billing.package_display (
    name       text        PRIMARY KEY,
    hidden     boolean     NOT NULL DEFAULT false,
    sort       integer,    -- null: the package's own
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Which customer at Stripe stands for an account, per mode and Stripe account.
CREATE TABLE billing.customers (
    account_id     bigint      NOT NULL REFERENCES accounts,
    livemode       boolean     NOT NULL,
    stripe_account text        NOT NULL,
    customer_id    text,       -- null while it is being made, or after Stripe lost it
    generation     integer     NOT NULL DEFAULT 1, -- part of the idempotency key; +1 when one is gone for good
    deleted_at     timestamptz, -- when Stripe was seen to have deleted the last one
    default_card   text,       -- payment method that automatic top-up charges
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, livemode, stripe_account)
);
CREATE UNIQUE INDEX customers_by_stripe_id ON billing.customers (livemode, customer_id);

-- Saved payment methods, as Stripe last showed them.
CREATE TABLE billing.cards (
    id          text        NOT NULL, -- pm_
    livemode    boolean     NOT NULL,
    account_id  bigint      NOT NULL REFERENCES accounts,
    customer_id text        NOT NULL,
    kind        text        NOT NULL, -- card, sepa_debit, ...
    brand       text        NOT NULL DEFAULT '',
    last4       text        NOT NULL DEFAULT '',
    exp_month   smallint,
    exp_year    smallint,
    detached_at timestamptz,
    fetched_at  timestamptz NOT NULL,
    PRIMARY KEY (livemode, id)
);
CREATE INDEX cards_of_account ON billing.cards (account_id);

-- One intention to buy, made before Stripe is called. What was offered stays as it was.
CREATE TABLE billing.orders (
    id                text        PRIMARY KEY CHECK (id ~ '^ord_[0-9a-f]{24}$'), -- random: a new database must not meet an old one's idempotency keys
    account_id        bigint      NOT NULL REFERENCES accounts,
    livemode          boolean     NOT NULL,
    kind              text        NOT NULL CHECK (kind IN ('checkout', 'subscription', 'auto_topup')),
    -- created: no answer of Stripe's yet; open: the buyer may pay; awaiting_funds: paid by a slow method;
    -- review: completed without payment, a person decides; paid, failed, expired, canceled: closed;
    -- quarantined: what Stripe shows does not fit, a person decides
    state             text        NOT NULL DEFAULT 'created' CHECK (state IN ('created', 'open', 'awaiting_funds', 'review', 'paid', 'failed', 'expired', 'canceled', 'quarantined')),
    package           text        NOT NULL,
    offer             jsonb       NOT NULL, -- the package as it was sold, see billing/packages/offers.py
    credit_type_id    smallint    NOT NULL REFERENCES credit_types,
    credits_each      bigint      NOT NULL CHECK (credits_each BETWEEN 1 AND 90000000000000),
    currency          text        NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    unit_minor        bigint      NOT NULL CHECK (unit_minor >= 0),
    quantity          integer     NOT NULL CHECK (quantity BETWEEN least_quantity AND most_quantity), -- asked for; what was bought is on the payment
    least_quantity    integer     NOT NULL CHECK (least_quantity >= 1),
    most_quantity     integer     NOT NULL,
    rules             smallint    NOT NULL DEFAULT 1, -- version of the fulfilment rules it is settled by
    save_card         boolean     NOT NULL DEFAULT false, -- the buyer asked that the card be kept
    origin            text        NOT NULL DEFAULT 'api' CHECK (origin IN ('api', 'page', 'stripe')), -- who asked
    session_id        text,
    session_url       text,
    payment_intent_id text,
    subscription_id   text,
    customer_id       text,
    email             text        NOT NULL DEFAULT '',
    failure           text,       -- Stripe's code, and decline code, of the last failed try
    problem           text,       -- why it is quarantined or in review
    expires_at        timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (livemode, session_id)
);
CREATE INDEX orders_of_account ON billing.orders (account_id, created_at);
CREATE INDEX orders_unfinished ON billing.orders (created_at) WHERE state IN ('created', 'open', 'awaiting_funds');
CREATE INDEX orders_by_payment_intent ON billing.orders (payment_intent_id) WHERE payment_intent_id IS NOT NULL;
CREATE INDEX orders_by_subscription ON billing.orders (subscription_id) WHERE subscription_id IS NOT NULL;

-- One payment that gave credits: of a checkout, of a subscription's invoice, of a top-up. What is
-- given back of it is a target reached in steps, see billing/reversing.
CREATE TABLE billing.payments (
    id                 bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id           text        NOT NULL REFERENCES billing.orders,
    account_id         bigint      NOT NULL REFERENCES accounts,
    livemode           boolean     NOT NULL,
    source             text        NOT NULL CHECK (source IN ('checkout', 'invoice', 'topup')),
    object_id          text        NOT NULL, -- cs_, in_ or pi_
    payment_intent_id  text,
    charge_id          text,
    invoice_id         text,
    customer_id        text,
    currency           text        NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    quantity           integer     NOT NULL CHECK (quantity >= 1),
    subtotal_minor     bigint      NOT NULL CHECK (subtotal_minor >= 0),
    discount_minor     bigint      NOT NULL DEFAULT 0 CHECK (discount_minor >= 0),
    tax_minor          bigint      NOT NULL DEFAULT 0 CHECK (tax_minor >= 0),
    paid_minor         bigint      NOT NULL CHECK (paid_minor >= 0), -- captured, with tax
    fee_minor          bigint      CHECK (fee_minor >= 0), -- Stripe's, in fee_currency; null until known
    fee_currency       text,
    refunded_minor     bigint      NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    disputed_minor     bigint      NOT NULL DEFAULT 0 CHECK (disputed_minor >= 0),
    reversed_minor     bigint      NOT NULL DEFAULT 0 CHECK (reversed_minor BETWEEN 0 AND paid_minor),
    receipt_url        text,
    invoice_url        text,       -- hosted page
    invoice_pdf        text,
    paid_at            timestamptz NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (livemode, object_id)
);
CREATE INDEX payments_of_account ON billing.payments (account_id, paid_at);
CREATE INDEX payments_by_payment_intent ON billing.payments (payment_intent_id) WHERE payment_intent_id IS NOT NULL;
CREATE INDEX payments_by_invoice ON billing.payments (invoice_id) WHERE invoice_id IS NOT NULL;
CREATE INDEX payments_by_day ON billing.payments (paid_at);
CREATE INDEX payments_of_order ON billing.payments (order_id);

-- Which grants a payment gave; an invoice gives one for each of its lines.
CREATE TABLE billing.payment_grants (
    payment_id     bigint   NOT NULL REFERENCES billing.payments,
    grant_id       bigint   PRIMARY KEY REFERENCES grants,
    object_id      text     NOT NULL, -- cs_, il_ or pi_: the grant's source id
    credit_type_id smallint NOT NULL REFERENCES credit_types,
    credits        bigint   NOT NULL CHECK (credits >= 1),
    clawed         bigint   NOT NULL DEFAULT 0 CHECK (clawed BETWEEN 0 AND credits), -- taken back and not given back again
    steps          integer  NOT NULL DEFAULT 0 CHECK (steps >= 0), -- part of each reversal's source id
    expires_at     timestamptz
);
CREATE INDEX payment_grants_of_payment ON billing.payment_grants (payment_id);

-- Money given back on our order; the row is there before Stripe is asked. Stripe's own list of refunds
-- decides about credits, this table only what we asked for.
CREATE TABLE billing.refunds (
    id            text        PRIMARY KEY CHECK (id ~ '^rfd_[0-9a-f]{24}$'),
    payment_id    bigint      NOT NULL REFERENCES billing.payments,
    amount_minor  bigint      NOT NULL CHECK (amount_minor >= 1),
    state         text        NOT NULL DEFAULT 'asking' CHECK (state IN ('asking', 'pending', 'requires_action', 'succeeded', 'failed', 'canceled', 'refused')),
    stripe_id     text,       -- re_ or pyr_
    reason        text        NOT NULL DEFAULT '',
    failure       text,
    actor         text        NOT NULL CHECK (actor <> ''),
    reference     text        UNIQUE, -- the asker's own name for it: a repeat is answered as the first
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refunds_of_payment ON billing.refunds (payment_id);

-- Every refund Stripe shows, whoever asked for it.
CREATE TABLE billing.stripe_refunds (
    livemode     boolean     NOT NULL,
    id           text        NOT NULL,
    payment_id   bigint      NOT NULL REFERENCES billing.payments,
    amount_minor bigint      NOT NULL CHECK (amount_minor >= 0),
    currency     text        NOT NULL,
    status       text        NOT NULL,
    failure      text,
    created_at   timestamptz NOT NULL,
    fetched_at   timestamptz NOT NULL,
    PRIMARY KEY (livemode, id)
);
CREATE INDEX stripe_refunds_of_payment ON billing.stripe_refunds (payment_id);

CREATE TABLE billing.disputes (
    livemode        boolean     NOT NULL,
    id              text        NOT NULL, -- du_ or dp_
    payment_id      bigint      NOT NULL REFERENCES billing.payments,
    account_id      bigint      NOT NULL REFERENCES accounts,
    amount_minor    bigint      NOT NULL CHECK (amount_minor >= 0),
    currency        text        NOT NULL,
    withdrawn_minor bigint      NOT NULL DEFAULT 0, -- net of its balance transactions; 0 for an inquiry
    status          text        NOT NULL,
    reason          text        NOT NULL DEFAULT '',
    open            boolean     NOT NULL,
    freezes         integer     NOT NULL DEFAULT 0, -- how often it changed the account's freeze; part of the source id
    due_by          timestamptz, -- evidence
    created_at      timestamptz NOT NULL,
    fetched_at      timestamptz NOT NULL,
    PRIMARY KEY (livemode, id)
);
CREATE INDEX disputes_open_of_account ON billing.disputes (account_id) WHERE open;
CREATE INDEX disputes_of_payment ON billing.disputes (payment_id);

CREATE TABLE billing.subscriptions (
    livemode             boolean     NOT NULL,
    id                   text        NOT NULL, -- sub_
    order_id             text        REFERENCES billing.orders,
    account_id           bigint      NOT NULL REFERENCES accounts,
    customer_id          text        NOT NULL,
    status               text        NOT NULL, -- Stripe's word
    package              text        NOT NULL,
    quantity             integer     NOT NULL DEFAULT 1,
    currency             text        NOT NULL,
    period_minor         bigint      NOT NULL, -- what one period costs, before discounts and tax
    interval             text        NOT NULL,
    interval_count       integer     NOT NULL DEFAULT 1,
    plan_tier            text        NOT NULL DEFAULT '',
    feature_flags        jsonb       NOT NULL DEFAULT '[]',
    current_period_start timestamptz,
    current_period_end   timestamptz,
    trial_end            timestamptz,
    cancel_at            timestamptz,
    cancel_at_period_end boolean     NOT NULL DEFAULT false,
    canceled_at          timestamptz,
    ended_at             timestamptz,
    latest_invoice_id    text,
    created_at           timestamptz NOT NULL,
    fetched_at           timestamptz NOT NULL,
    PRIMARY KEY (livemode, id)
);
CREATE INDEX subscriptions_of_account ON billing.subscriptions (account_id);

-- A trial's credits are given once per account and package.
CREATE TABLE billing.trials (
    account_id bigint      NOT NULL REFERENCES accounts,
    package    text        NOT NULL,
    livemode   boolean     NOT NULL,
    invoice_id text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, package, livemode)
);

-- What Stripe delivered, committed before it is answered. An event is a hint: it names an object to fetch.
CREATE TABLE billing.inbox (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stripe_account text        NOT NULL DEFAULT '', -- of a connected account; '' is our own
    livemode       boolean     NOT NULL,
    event_id       text        NOT NULL,
    type           text        NOT NULL,
    object_type    text        NOT NULL DEFAULT '',
    object_id      text        NOT NULL DEFAULT '',
    thin           boolean     NOT NULL DEFAULT false,
    api_version    text        NOT NULL DEFAULT '',
    origin         text        NOT NULL CHECK (origin IN ('webhook', 'reconciler')),
    account_id     bigint      REFERENCES accounts, -- whose it turned out to be; null: nobody's, or not known yet
    raw            bytea       NOT NULL, -- the body as it came
    -- received: to be done; done; ignored: nothing to do with us; failed: tried again at next_try_at;
    -- dead: tried too often; quarantined: a person decides
    status         text        NOT NULL DEFAULT 'received' CHECK (status IN ('received', 'done', 'ignored', 'failed', 'dead', 'quarantined')),
    outcome        text        NOT NULL DEFAULT '', -- what became of it, in a word or a sentence
    error_code     text        NOT NULL DEFAULT '', -- Stripe's, where that is what failed
    attempts       integer     NOT NULL DEFAULT 0,
    next_try_at    timestamptz NOT NULL DEFAULT now(),
    event_created  timestamptz NOT NULL,
    received_at    timestamptz NOT NULL DEFAULT now(),
    processed_at   timestamptz,
    UNIQUE (stripe_account, livemode, event_id)
);
CREATE INDEX inbox_due ON billing.inbox (next_try_at) WHERE status IN ('received', 'failed');
CREATE INDEX inbox_for_people ON billing.inbox (id) WHERE status IN ('dead', 'quarantined');
CREATE INDEX inbox_by_time ON billing.inbox (received_at);
CREATE INDEX inbox_by_object ON billing.inbox (object_id);
CREATE INDEX inbox_of_account ON billing.inbox (account_id, event_created) WHERE account_id IS NOT NULL;

-- How far each pass of the reconciler has come; moves only after what it found is committed.
CREATE TABLE billing.cursors (
    name     text        NOT NULL,
    livemode boolean     NOT NULL,
    seen_to  timestamptz NOT NULL,
    ran_at   timestamptz NOT NULL,
    summary  jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (name, livemode)
);

-- Automatic top-up: what an account has asked for, and what was tried.
CREATE TABLE billing.topup_settings (
    account_id        bigint      NOT NULL REFERENCES accounts,
    livemode          boolean     NOT NULL,
    enabled           boolean     NOT NULL DEFAULT false,
    package           text        NOT NULL,
    currency          text        NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    quantity          integer     NOT NULL DEFAULT 1 CHECK (quantity >= 1),
    credit_type_id    smallint    NOT NULL REFERENCES credit_types, -- of the package, as agreed
    amount_minor      bigint      NOT NULL CHECK (amount_minor >= 1), -- what one top-up costs, as agreed
    threshold         bigint      NOT NULL CHECK (threshold >= 0), -- smallest units of that credit type
    most_minor_month  bigint      NOT NULL CHECK (most_minor_month >= 1),
    most_count_day    integer     NOT NULL CHECK (most_count_day BETWEEN 1 AND 100),
    paused            text,       -- why nothing is tried until the account acts; null: it is not paused
    rest_until        timestamptz, -- after a soft decline
    declines          integer     NOT NULL DEFAULT 0, -- in a row
    consented_at      timestamptz, -- to being charged without being asked
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, livemode)
);
CREATE TABLE billing.topup_attempts (
    id                text        PRIMARY KEY CHECK (id ~ '^top_[0-9a-f]{24}$'),
    order_id          text        NOT NULL UNIQUE REFERENCES billing.orders,
    account_id        bigint      NOT NULL REFERENCES accounts,
    livemode          boolean     NOT NULL,
    state             text        NOT NULL DEFAULT 'created' CHECK (state IN ('created', 'confirming', 'unknown', 'succeeded', 'failed', 'absent')),
    card              text        NOT NULL, -- pm_
    amount_minor      bigint      NOT NULL CHECK (amount_minor >= 1),
    currency          text        NOT NULL,
    payment_intent_id text,
    failure           text,
    asked_at          timestamptz, -- when Stripe was last asked
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX topup_attempts_one_open ON billing.topup_attempts (account_id, livemode) WHERE state IN ('created', 'confirming', 'unknown');
CREATE INDEX topup_attempts_of_account ON billing.topup_attempts (account_id, created_at);

-- What people are to be told; each end (mail, the operator's webhook) has its own row and its own fate.
CREATE TABLE billing.notices (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL,
    account_id bigint      REFERENCES accounts, -- null: for the operator only
    key        text        NOT NULL, -- what it is about: the same is told once
    payload    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, key)
);
CREATE TABLE billing.notice_deliveries (
    notice_id   bigint      NOT NULL REFERENCES billing.notices,
    channel     text        NOT NULL CHECK (channel IN ('mail', 'webhook')),
    state       text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dead', 'skipped')),
    attempts    integer     NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    error       text        NOT NULL DEFAULT '',
    sent_at     timestamptz,
    PRIMARY KEY (notice_id, channel)
);
CREATE INDEX notice_deliveries_due ON billing.notice_deliveries (next_try_at) WHERE state = 'waiting';

-- From which balance on an account wants to be told, and whether it has been told since it was above.
CREATE TABLE billing.low_balance (
    account_id     bigint   NOT NULL REFERENCES accounts,
    credit_type_id smallint NOT NULL REFERENCES credit_types,
    threshold      bigint   CHECK (threshold >= 0), -- null: the credit type's own; 0: never
    below          boolean  NOT NULL DEFAULT false,
    crossings      integer  NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, credit_type_id)
);

-- What a person should look at. One open row per kind and subject; a repeat is counted.
CREATE TABLE billing.alerts (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text        NOT NULL,
    subject     text        NOT NULL, -- an object's id, or '' where it is about all
    detail      text        NOT NULL,
    times       integer     NOT NULL DEFAULT 1,
    first_at    timestamptz NOT NULL DEFAULT now(),
    last_at     timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    resolved_by text
);
CREATE UNIQUE INDEX alerts_open ON billing.alerts (kind, subject) WHERE resolved_at IS NULL;

-- Answers of Stripe that were errors, and declines, per hour: for metrics and alerts.
CREATE TABLE billing.stripe_errors (
    hour  timestamptz NOT NULL,
    type  text        NOT NULL, -- CardError, RateLimitError, ...
    code  text        NOT NULL, -- Stripe's code, or decline code
    times bigint      NOT NULL DEFAULT 1,
    PRIMARY KEY (hour, type, code)
);

-- relations
SEQUENCE alerts_id_seq 1..9223372036854775807
SEQUENCE inbox_id_seq 1..9223372036854775807
SEQUENCE notices_id_seq 1..9223372036854775807
SEQUENCE payments_id_seq 1..9223372036854775807
TABLE alerts
TABLE cards
TABLE cursors
TABLE customers
TABLE disputes
TABLE inbox
TABLE installation
TABLE low_balance
TABLE notice_deliveries
TABLE notices
TABLE orders
TABLE package_display
TABLE packages
TABLE payment_grants
TABLE payments
TABLE refunds
TABLE stripe_errors
TABLE stripe_refunds
TABLE subscriptions
TABLE topup_attempts
TABLE topup_settings
TABLE trials

-- columns
alerts.id bigint NOT NULL IDENTITY
alerts.kind text NOT NULL
alerts.subject text NOT NULL
alerts.detail text NOT NULL
alerts.times integer NOT NULL DEFAULT 1
alerts.first_at timestamp with time zone NOT NULL DEFAULT now()
alerts.last_at timestamp with time zone NOT NULL DEFAULT now()
alerts.resolved_at timestamp with time zone
alerts.resolved_by text
cards.id text NOT NULL
cards.livemode boolean NOT NULL
cards.account_id bigint NOT NULL
cards.customer_id text NOT NULL
cards.kind text NOT NULL
cards.brand text NOT NULL DEFAULT ''::text
cards.last4 text NOT NULL DEFAULT ''::text
cards.exp_month smallint
cards.exp_year smallint
cards.detached_at timestamp with time zone
cards.fetched_at timestamp with time zone NOT NULL
cursors.name text NOT NULL
cursors.livemode boolean NOT NULL
cursors.seen_to timestamp with time zone NOT NULL
cursors.ran_at timestamp with time zone NOT NULL
cursors.summary jsonb NOT NULL DEFAULT '{}'::jsonb
customers.account_id bigint NOT NULL
customers.livemode boolean NOT NULL
customers.stripe_account text NOT NULL
customers.customer_id text
customers.generation integer NOT NULL DEFAULT 1
customers.deleted_at timestamp with time zone
customers.default_card text
customers.created_at timestamp with time zone NOT NULL DEFAULT now()
disputes.livemode boolean NOT NULL
disputes.id text NOT NULL
disputes.payment_id bigint NOT NULL
disputes.account_id bigint NOT NULL
disputes.amount_minor bigint NOT NULL
disputes.currency text NOT NULL
disputes.withdrawn_minor bigint NOT NULL DEFAULT 0
disputes.status text NOT NULL
disputes.reason text NOT NULL DEFAULT ''::text
disputes.open boolean NOT NULL
disputes.freezes integer NOT NULL DEFAULT 0
disputes.due_by timestamp with time zone
disputes.created_at timestamp with time zone NOT NULL
disputes.fetched_at timestamp with time zone NOT NULL
inbox.id bigint NOT NULL IDENTITY
inbox.stripe_account text NOT NULL DEFAULT ''::text
inbox.livemode boolean NOT NULL
inbox.event_id text NOT NULL
inbox.type text NOT NULL
inbox.object_type text NOT NULL DEFAULT ''::text
inbox.object_id text NOT NULL DEFAULT ''::text
inbox.thin boolean NOT NULL DEFAULT false
inbox.api_version text NOT NULL DEFAULT ''::text
inbox.origin text NOT NULL
inbox.account_id bigint
inbox.raw bytea NOT NULL
inbox.status text NOT NULL DEFAULT 'received'::text
inbox.outcome text NOT NULL DEFAULT ''::text
inbox.error_code text NOT NULL DEFAULT ''::text
inbox.attempts integer NOT NULL DEFAULT 0
inbox.next_try_at timestamp with time zone NOT NULL DEFAULT now()
inbox.event_created timestamp with time zone NOT NULL
inbox.received_at timestamp with time zone NOT NULL DEFAULT now()
inbox.processed_at timestamp with time zone
installation.only_one boolean NOT NULL DEFAULT true
installation.id text NOT NULL DEFAULT replace((gen_random_uuid())::text, '-'::text, ''::text)
low_balance.account_id bigint NOT NULL
low_balance.credit_type_id smallint NOT NULL
low_balance.threshold bigint
low_balance.below boolean NOT NULL DEFAULT false
low_balance.crossings integer NOT NULL DEFAULT 0
notice_deliveries.notice_id bigint NOT NULL
notice_deliveries.channel text NOT NULL
notice_deliveries.state text NOT NULL DEFAULT 'waiting'::text
notice_deliveries.attempts integer NOT NULL DEFAULT 0
notice_deliveries.next_try_at timestamp with time zone NOT NULL DEFAULT now()
notice_deliveries.error text NOT NULL DEFAULT ''::text
notice_deliveries.sent_at timestamp with time zone
notices.id bigint NOT NULL IDENTITY
notices.kind text NOT NULL
notices.account_id bigint
notices.key text NOT NULL
notices.payload jsonb NOT NULL
notices.created_at timestamp with time zone NOT NULL DEFAULT now()
orders.id text NOT NULL
orders.account_id bigint NOT NULL
orders.livemode boolean NOT NULL
orders.kind text NOT NULL
orders.state text NOT NULL DEFAULT 'created'::text
orders.package text NOT NULL
orders.offer jsonb NOT NULL
orders.credit_type_id smallint NOT NULL
orders.credits_each bigint NOT NULL
orders.currency text NOT NULL
orders.unit_minor bigint NOT NULL
orders.quantity integer NOT NULL
orders.least_quantity integer NOT NULL
orders.most_quantity integer NOT NULL
orders.rules smallint NOT NULL DEFAULT 1
orders.save_card boolean NOT NULL DEFAULT false
orders.origin text NOT NULL DEFAULT 'api'::text
orders.session_id text
orders.session_url text
orders.payment_intent_id text
orders.subscription_id text
orders.customer_id text
orders.email text NOT NULL DEFAULT ''::text
orders.failure text
orders.problem text
orders.expires_at timestamp with time zone
orders.created_at timestamp with time zone NOT NULL DEFAULT now()
orders.updated_at timestamp with time zone NOT NULL DEFAULT now()
package_display.name text NOT NULL
package_display.hidden boolean NOT NULL DEFAULT false
package_display.sort integer
package_display.updated_at timestamp with time zone NOT NULL DEFAULT now()
packages.name text NOT NULL
packages.source text NOT NULL
packages.livemode boolean
packages.stripe_product text
packages.definition jsonb NOT NULL
packages.active boolean NOT NULL DEFAULT true
packages.problem text
packages.version integer NOT NULL DEFAULT 1
packages.fetched_at timestamp with time zone
packages.created_at timestamp with time zone NOT NULL DEFAULT now()
packages.updated_at timestamp with time zone NOT NULL DEFAULT now()
payment_grants.payment_id bigint NOT NULL
payment_grants.grant_id bigint NOT NULL
payment_grants.object_id text NOT NULL
payment_grants.credit_type_id smallint NOT NULL
payment_grants.credits bigint NOT NULL
payment_grants.clawed bigint NOT NULL DEFAULT 0
payment_grants.steps integer NOT NULL DEFAULT 0
payment_grants.expires_at timestamp with time zone
payments.id bigint NOT NULL IDENTITY
payments.order_id text NOT NULL
payments.account_id bigint NOT NULL
payments.livemode boolean NOT NULL
payments.source text NOT NULL
payments.object_id text NOT NULL
payments.payment_intent_id text
payments.charge_id text
payments.invoice_id text
payments.customer_id text
payments.currency text NOT NULL
payments.quantity integer NOT NULL
payments.subtotal_minor bigint NOT NULL
payments.discount_minor bigint NOT NULL DEFAULT 0
payments.tax_minor bigint NOT NULL DEFAULT 0
payments.paid_minor bigint NOT NULL
payments.fee_minor bigint
payments.fee_currency text
payments.refunded_minor bigint NOT NULL DEFAULT 0
payments.disputed_minor bigint NOT NULL DEFAULT 0
payments.reversed_minor bigint NOT NULL DEFAULT 0
payments.receipt_url text
payments.invoice_url text
payments.invoice_pdf text
payments.paid_at timestamp with time zone NOT NULL
payments.created_at timestamp with time zone NOT NULL DEFAULT now()
refunds.id text NOT NULL
refunds.payment_id bigint NOT NULL
refunds.amount_minor bigint NOT NULL
refunds.state text NOT NULL DEFAULT 'asking'::text
refunds.stripe_id text
refunds.reason text NOT NULL DEFAULT ''::text
refunds.failure text
refunds.actor text NOT NULL
refunds.reference text
refunds.created_at timestamp with time zone NOT NULL DEFAULT now()
refunds.updated_at timestamp with time zone NOT NULL DEFAULT now()
stripe_errors.hour timestamp with time zone NOT NULL
stripe_errors.type text NOT NULL
stripe_errors.code text NOT NULL
stripe_errors.times bigint NOT NULL DEFAULT 1
stripe_refunds.livemode boolean NOT NULL
stripe_refunds.id text NOT NULL
stripe_refunds.payment_id bigint NOT NULL
stripe_refunds.amount_minor bigint NOT NULL
stripe_refunds.currency text NOT NULL
stripe_refunds.status text NOT NULL
stripe_refunds.failure text
stripe_refunds.created_at timestamp with time zone NOT NULL
stripe_refunds.fetched_at timestamp with time zone NOT NULL
subscriptions.livemode boolean NOT NULL
subscriptions.id text NOT NULL
subscriptions.order_id text
subscriptions.account_id bigint NOT NULL
subscriptions.customer_id text NOT NULL
subscriptions.status text NOT NULL
subscriptions.package text NOT NULL
subscriptions.quantity integer NOT NULL DEFAULT 1
subscriptions.currency text NOT NULL
subscriptions.period_minor bigint NOT NULL
subscriptions.interval text NOT NULL
subscriptions.interval_count integer NOT NULL DEFAULT 1
subscriptions.plan_tier text NOT NULL DEFAULT ''::text
subscriptions.feature_flags jsonb NOT NULL DEFAULT '[]'::jsonb
subscriptions.current_period_start timestamp with time zone
subscriptions.current_period_end timestamp with time zone
subscriptions.trial_end timestamp with time zone
subscriptions.cancel_at timestamp with time zone
subscriptions.cancel_at_period_end boolean NOT NULL DEFAULT false
subscriptions.canceled_at timestamp with time zone
subscriptions.ended_at timestamp with time zone
subscriptions.latest_invoice_id text
subscriptions.created_at timestamp with time zone NOT NULL
subscriptions.fetched_at timestamp with time zone NOT NULL
topup_attempts.id text NOT NULL
topup_attempts.order_id text NOT NULL
topup_attempts.account_id bigint NOT NULL
topup_attempts.livemode boolean NOT NULL
topup_attempts.state text NOT NULL DEFAULT 'created'::text
topup_attempts.card text NOT NULL
topup_attempts.amount_minor bigint NOT NULL
topup_attempts.currency text NOT NULL
topup_attempts.payment_intent_id text
topup_attempts.failure text
topup_attempts.asked_at timestamp with time zone
topup_attempts.created_at timestamp with time zone NOT NULL DEFAULT now()
topup_attempts.updated_at timestamp with time zone NOT NULL DEFAULT now()
topup_settings.account_id bigint NOT NULL
topup_settings.livemode boolean NOT NULL
topup_settings.enabled boolean NOT NULL DEFAULT false
topup_settings.package text NOT NULL
topup_settings.currency text NOT NULL
topup_settings.quantity integer NOT NULL DEFAULT 1
topup_settings.credit_type_id smallint NOT NULL
topup_settings.amount_minor bigint NOT NULL
topup_settings.threshold bigint NOT NULL
topup_settings.most_minor_month bigint NOT NULL
topup_settings.most_count_day integer NOT NULL
topup_settings.paused text
topup_settings.rest_until timestamp with time zone
topup_settings.declines integer NOT NULL DEFAULT 0
topup_settings.consented_at timestamp with time zone
topup_settings.updated_at timestamp with time zone NOT NULL DEFAULT now()
trials.account_id bigint NOT NULL
trials.package text NOT NULL
trials.livemode boolean NOT NULL
trials.invoice_id text NOT NULL
trials.created_at timestamp with time zone NOT NULL DEFAULT now()

-- constraints
alerts PRIMARY KEY (id)
cards FOREIGN KEY (account_id) REFERENCES accounts(id)
cards PRIMARY KEY (livemode, id)
cursors PRIMARY KEY (name, livemode)
customers FOREIGN KEY (account_id) REFERENCES accounts(id)
customers PRIMARY KEY (account_id, livemode, stripe_account)
disputes CHECK ((amount_minor >= 0))
disputes FOREIGN KEY (account_id) REFERENCES accounts(id)
disputes FOREIGN KEY (payment_id) REFERENCES billing.payments(id)
disputes PRIMARY KEY (livemode, id)
inbox CHECK ((origin = ANY (ARRAY['webhook'::text, 'reconciler'::text])))
inbox CHECK ((status = ANY (ARRAY['received'::text, 'done'::text, 'ignored'::text, 'failed'::text, 'dead'::text, 'quarantined'::text])))
inbox FOREIGN KEY (account_id) REFERENCES accounts(id)
inbox PRIMARY KEY (id)
inbox UNIQUE (stripe_account, livemode, event_id)
installation CHECK (only_one)
installation PRIMARY KEY (only_one)
low_balance CHECK ((threshold >= 0))
low_balance FOREIGN KEY (account_id) REFERENCES accounts(id)
low_balance FOREIGN KEY (credit_type_id) REFERENCES credit_types(id)
low_balance PRIMARY KEY (account_id, credit_type_id)
notice_deliveries CHECK ((channel = ANY (ARRAY['mail'::text, 'webhook'::text])))
notice_deliveries CHECK ((state = ANY (ARRAY['waiting'::text, 'sent'::text, 'dead'::text, 'skipped'::text])))
notice_deliveries FOREIGN KEY (notice_id) REFERENCES billing.notices(id)
notice_deliveries PRIMARY KEY (notice_id, channel)
notices FOREIGN KEY (account_id) REFERENCES accounts(id)
notices PRIMARY KEY (id)
notices UNIQUE (kind, key)
orders CHECK (((credits_each >= 1) AND (credits_each <= '90000000000000'::bigint)))
orders CHECK (((quantity >= least_quantity) AND (quantity <= most_quantity)))
orders CHECK ((currency ~ '^[a-z]{3}$'::text))
orders CHECK ((id ~ '^ord_[0-9a-f]{24}$'::text))
orders CHECK ((kind = ANY (ARRAY['checkout'::text, 'subscription'::text, 'auto_topup'::text])))
orders CHECK ((least_quantity >= 1))
orders CHECK ((origin = ANY (ARRAY['api'::text, 'page'::text, 'stripe'::text])))
orders CHECK ((state = ANY (ARRAY['created'::text, 'open'::text, 'awaiting_funds'::text, 'review'::text, 'paid'::text, 'failed'::text, 'expired'::text, 'canceled'::text, 'quarantined'::text])))
orders CHECK ((unit_minor >= 0))
orders FOREIGN KEY (account_id) REFERENCES accounts(id)
orders FOREIGN KEY (credit_type_id) REFERENCES credit_types(id)
orders PRIMARY KEY (id)
orders UNIQUE (livemode, session_id)
package_display PRIMARY KEY (name)
packages CHECK (((source = 'stripe'::text) = (livemode IS NOT NULL)))
packages CHECK (((source = 'stripe'::text) = (stripe_product IS NOT NULL)))
packages CHECK ((name ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'::text))
packages CHECK ((source = ANY (ARRAY['admin'::text, 'stripe'::text])))
packages CHECK ((version >= 1))
packages PRIMARY KEY (name)
packages UNIQUE (livemode, stripe_product)
payment_grants CHECK (((clawed >= 0) AND (clawed <= credits)))
payment_grants CHECK ((credits >= 1))
payment_grants CHECK ((steps >= 0))
payment_grants FOREIGN KEY (credit_type_id) REFERENCES credit_types(id)
payment_grants FOREIGN KEY (grant_id) REFERENCES grants(id)
payment_grants FOREIGN KEY (payment_id) REFERENCES billing.payments(id)
payment_grants PRIMARY KEY (grant_id)
payments CHECK (((reversed_minor >= 0) AND (reversed_minor <= paid_minor)))
payments CHECK ((currency ~ '^[a-z]{3}$'::text))
payments CHECK ((discount_minor >= 0))
payments CHECK ((disputed_minor >= 0))
payments CHECK ((fee_minor >= 0))
payments CHECK ((paid_minor >= 0))
payments CHECK ((quantity >= 1))
payments CHECK ((refunded_minor >= 0))
payments CHECK ((source = ANY (ARRAY['checkout'::text, 'invoice'::text, 'topup'::text])))
payments CHECK ((subtotal_minor >= 0))
payments CHECK ((tax_minor >= 0))
payments FOREIGN KEY (account_id) REFERENCES accounts(id)
payments FOREIGN KEY (order_id) REFERENCES billing.orders(id)
payments PRIMARY KEY (id)
payments UNIQUE (livemode, object_id)
refunds CHECK ((actor <> ''::text))
refunds CHECK ((amount_minor >= 1))
refunds CHECK ((id ~ '^rfd_[0-9a-f]{24}$'::text))
refunds CHECK ((state = ANY (ARRAY['asking'::text, 'pending'::text, 'requires_action'::text, 'succeeded'::text, 'failed'::text, 'canceled'::text, 'refused'::text])))
refunds FOREIGN KEY (payment_id) REFERENCES billing.payments(id)
refunds PRIMARY KEY (id)
refunds UNIQUE (reference)
stripe_errors PRIMARY KEY (hour, type, code)
stripe_refunds CHECK ((amount_minor >= 0))
stripe_refunds FOREIGN KEY (payment_id) REFERENCES billing.payments(id)
stripe_refunds PRIMARY KEY (livemode, id)
subscriptions FOREIGN KEY (account_id) REFERENCES accounts(id)
subscriptions FOREIGN KEY (order_id) REFERENCES billing.orders(id)
subscriptions PRIMARY KEY (livemode, id)
topup_attempts CHECK ((amount_minor >= 1))
topup_attempts CHECK ((id ~ '^top_[0-9a-f]{24}$'::text))
topup_attempts CHECK ((state = ANY (ARRAY['created'::text, 'confirming'::text, 'unknown'::text, 'succeeded'::text, 'failed'::text, 'absent'::text])))
topup_attempts FOREIGN KEY (account_id) REFERENCES accounts(id)
topup_attempts FOREIGN KEY (order_id) REFERENCES billing.orders(id)
topup_attempts PRIMARY KEY (id)
topup_attempts UNIQUE (order_id)
topup_settings CHECK (((most_count_day >= 1) AND (most_count_day <= 100)))
topup_settings CHECK ((amount_minor >= 1))
topup_settings CHECK ((currency ~ '^[a-z]{3}$'::text))
topup_settings CHECK ((most_minor_month >= 1))
topup_settings CHECK ((quantity >= 1))
topup_settings CHECK ((threshold >= 0))
topup_settings FOREIGN KEY (account_id) REFERENCES accounts(id)
topup_settings FOREIGN KEY (credit_type_id) REFERENCES credit_types(id)
topup_settings PRIMARY KEY (account_id, livemode)
trials FOREIGN KEY (account_id) REFERENCES accounts(id)
trials PRIMARY KEY (account_id, package, livemode)

-- indexes
CREATE INDEX cards_of_account ON billing.cards USING btree (account_id)
CREATE INDEX disputes_of_payment ON billing.disputes USING btree (payment_id)
CREATE INDEX disputes_open_of_account ON billing.disputes USING btree (account_id) WHERE open
CREATE INDEX inbox_by_object ON billing.inbox USING btree (object_id)
CREATE INDEX inbox_by_time ON billing.inbox USING btree (received_at)
CREATE INDEX inbox_due ON billing.inbox USING btree (next_try_at) WHERE (status = ANY (ARRAY['received'::text, 'failed'::text]))
CREATE INDEX inbox_for_people ON billing.inbox USING btree (id) WHERE (status = ANY (ARRAY['dead'::text, 'quarantined'::text]))
CREATE INDEX inbox_of_account ON billing.inbox USING btree (account_id, event_created) WHERE (account_id IS NOT NULL)
CREATE INDEX notice_deliveries_due ON billing.notice_deliveries USING btree (next_try_at) WHERE (state = 'waiting'::text)
CREATE INDEX orders_by_payment_intent ON billing.orders USING btree (payment_intent_id) WHERE (payment_intent_id IS NOT NULL)
CREATE INDEX orders_by_subscription ON billing.orders USING btree (subscription_id) WHERE (subscription_id IS NOT NULL)
CREATE INDEX orders_of_account ON billing.orders USING btree (account_id, created_at)
CREATE INDEX orders_unfinished ON billing.orders USING btree (created_at) WHERE (state = ANY (ARRAY['created'::text, 'open'::text, 'awaiting_funds'::text]))
CREATE INDEX payment_grants_of_payment ON billing.payment_grants USING btree (payment_id)
CREATE INDEX payments_by_day ON billing.payments USING btree (paid_at)
CREATE INDEX payments_by_invoice ON billing.payments USING btree (invoice_id) WHERE (invoice_id IS NOT NULL)
CREATE INDEX payments_by_payment_intent ON billing.payments USING btree (payment_intent_id) WHERE (payment_intent_id IS NOT NULL)
CREATE INDEX payments_of_account ON billing.payments USING btree (account_id, paid_at)
CREATE INDEX payments_of_order ON billing.payments USING btree (order_id)
CREATE INDEX refunds_of_payment ON billing.refunds USING btree (payment_id)
CREATE INDEX stripe_refunds_of_payment ON billing.stripe_refunds USING btree (payment_id)
CREATE INDEX subscriptions_of_account ON billing.subscriptions USING btree (account_id)
CREATE INDEX topup_attempts_of_account ON billing.topup_attempts USING btree (account_id, created_at)
CREATE UNIQUE INDEX alerts_open ON billing.alerts USING btree (kind, subject) WHERE (resolved_at IS NULL)
CREATE UNIQUE INDEX alerts_pkey ON billing.alerts USING btree (id)
CREATE UNIQUE INDEX cards_pkey ON billing.cards USING btree (livemode, id)
CREATE UNIQUE INDEX cursors_pkey ON billing.cursors USING btree (name, livemode)
CREATE UNIQUE INDEX customers_by_stripe_id ON billing.customers USING btree (livemode, customer_id)
CREATE UNIQUE INDEX customers_pkey ON billing.customers USING btree (account_id, livemode, stripe_account)
CREATE UNIQUE INDEX disputes_pkey ON billing.disputes USING btree (livemode, id)
CREATE UNIQUE INDEX inbox_pkey ON billing.inbox USING btree (id)
CREATE UNIQUE INDEX inbox_stripe_account_livemode_event_id_key ON billing.inbox USING btree (stripe_account, livemode, event_id)
CREATE UNIQUE INDEX installation_pkey ON billing.installation USING btree (only_one)
CREATE UNIQUE INDEX low_balance_pkey ON billing.low_balance USING btree (account_id, credit_type_id)
CREATE UNIQUE INDEX notice_deliveries_pkey ON billing.notice_deliveries USING btree (notice_id, channel)
CREATE UNIQUE INDEX notices_kind_key_key ON billing.notices USING btree (kind, key)
CREATE UNIQUE INDEX notices_pkey ON billing.notices USING btree (id)
CREATE UNIQUE INDEX orders_livemode_session_id_key ON billing.orders USING btree (livemode, session_id)
CREATE UNIQUE INDEX orders_pkey ON billing.orders USING btree (id)
CREATE UNIQUE INDEX package_display_pkey ON billing.package_display USING btree (name)
CREATE UNIQUE INDEX packages_livemode_stripe_product_key ON billing.packages USING btree (livemode, stripe_product)
CREATE UNIQUE INDEX packages_pkey ON billing.packages USING btree (name)
CREATE UNIQUE INDEX payment_grants_pkey ON billing.payment_grants USING btree (grant_id)
CREATE UNIQUE INDEX payments_livemode_object_id_key ON billing.payments USING btree (livemode, object_id)
CREATE UNIQUE INDEX payments_pkey ON billing.payments USING btree (id)
CREATE UNIQUE INDEX refunds_pkey ON billing.refunds USING btree (id)
CREATE UNIQUE INDEX refunds_reference_key ON billing.refunds USING btree (reference)
CREATE UNIQUE INDEX stripe_errors_pkey ON billing.stripe_errors USING btree (hour, type, code)
CREATE UNIQUE INDEX stripe_refunds_pkey ON billing.stripe_refunds USING btree (livemode, id)
CREATE UNIQUE INDEX subscriptions_pkey ON billing.subscriptions USING btree (livemode, id)
CREATE UNIQUE INDEX topup_attempts_one_open ON billing.topup_attempts USING btree (account_id, livemode) WHERE (state = ANY (ARRAY['created'::text, 'confirming'::text, 'unknown'::text]))
CREATE UNIQUE INDEX topup_attempts_order_id_key ON billing.topup_attempts USING btree (order_id)
CREATE UNIQUE INDEX topup_attempts_pkey ON billing.topup_attempts USING btree (id)
CREATE UNIQUE INDEX topup_settings_pkey ON billing.topup_settings USING btree (account_id, livemode)
CREATE UNIQUE INDEX trials_pkey ON billing.trials USING btree (account_id, package, livemode)

-- triggers

-- functions

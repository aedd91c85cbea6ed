-- relations
SEQUENCE accounts_id_seq 1..9223372036854775807
SEQUENCE admins_id_seq 1..9223372036854775807
SEQUENCE api_keys_id_seq 1..9223372036854775807
SEQUENCE audit_id_seq 1..9223372036854775807
SEQUENCE findings_id_seq 1..9223372036854775807
SEQUENCE grants_id_seq 1..9223372036854775807
SEQUENCE price_refusals_id_seq 1..9223372036854775807
SEQUENCE session_numbers 1..4294967295
TABLE charges PARTITION BY RANGE (id)
TABLE accounts WITH (fillfactor=70)
TABLE admins
TABLE api_keys
TABLE audit
TABLE batch_lines
TABLE batches
TABLE control_requests
TABLE controls
TABLE credit_types
TABLE dead_facts
TABLE findings
TABLE gateways
TABLE grants WITH (fillfactor=70)
TABLE key_caps
TABLE limit_uses WITH (fillfactor=70)
TABLE movements
TABLE overtaken_endings
TABLE page_sessions
TABLE pools WITH (fillfactor=70)
TABLE price_refusals
TABLE price_rules
TABLE price_texts
TABLE price_versions
TABLE retired_partitions
TABLE secrets
TABLE shards
TABLE sign_in_links
VIEW entries AS
 SELECT c.account_id,
    c.id,
    'charge'::text AS kind,
    c.credit_type_id,
    (- c.captured) AS amount,
    c.balance_after,
    COALESCE(r.route, ''::text) AS description,
    encode(c.id, 'hex'::text) AS reference,
    COALESCE(c.record, '{}'::jsonb) AS metadata,
    c.closed_at AS at,
    c.id AS charge_id,
    NULL::bigint AS grant_id
   FROM (charges c
     LEFT JOIN price_rules r ON (((r.version = c.price_version) AND (r.rule = c.rule))))
  WHERE (c.captured > 0)
UNION ALL
 SELECT m.account_id,
    m.id,
    m.kind,
    m.credit_type_id,
    m.amount,
    m.balance_after,
    COALESCE(k.description, g.description, ''::text) AS description,
    COALESCE(k.reference, g.reference, encode(g.charge_id, 'hex'::text)) AS reference,
    COALESCE(k.metadata, g.metadata, '{}'::jsonb) AS metadata,
    m.at,
    g.charge_id,
    m.grant_id
   FROM ((movements m
     LEFT JOIN controls k ON (((k.account_id = m.account_id) AND (k.cseq = m.cseq) AND (k.kind = 'w'::text))))
     LEFT JOIN grants g ON ((g.id = m.grant_id)));

-- columns
accounts.id bigint NOT NULL IDENTITY
accounts.external_id text
accounts.name text NOT NULL DEFAULT ''::text
accounts.email text NOT NULL DEFAULT ''::text
accounts.plan text NOT NULL DEFAULT ''::text
accounts.shard smallint NOT NULL DEFAULT 0
accounts.status smallint NOT NULL DEFAULT 1
accounts.aseq bigint NOT NULL DEFAULT 0
accounts.cseq_head bigint NOT NULL DEFAULT 0
accounts.cseq_applied bigint NOT NULL DEFAULT 0
accounts.created_at timestamp with time zone NOT NULL DEFAULT now()
accounts.updated_at timestamp with time zone NOT NULL DEFAULT now()
admins.id bigint NOT NULL IDENTITY
admins.name text NOT NULL
admins.token_sha256 bytea NOT NULL
admins.created_at timestamp with time zone NOT NULL DEFAULT now()
admins.revoked_at timestamp with time zone
api_keys.id bigint NOT NULL IDENTITY
api_keys.account_id bigint NOT NULL
api_keys.name text NOT NULL DEFAULT ''::text
api_keys.prefix text NOT NULL
api_keys.sha256 bytea NOT NULL
api_keys.scopes smallint NOT NULL
api_keys.status smallint NOT NULL DEFAULT 1
api_keys.expires_ms bigint NOT NULL DEFAULT '281474976710655'::bigint
api_keys.replaces bigint
api_keys.created_at timestamp with time zone NOT NULL DEFAULT now()
api_keys.revoked_at timestamp with time zone
audit.id bigint NOT NULL IDENTITY
audit.at timestamp with time zone NOT NULL DEFAULT now()
audit.actor text NOT NULL
audit.action text NOT NULL
audit.target text NOT NULL
audit.detail jsonb NOT NULL DEFAULT '{}'::jsonb
batch_lines.shard smallint NOT NULL
batch_lines.epoch bigint NOT NULL
batch_lines.q_from bigint NOT NULL
batch_lines.credit_type_id smallint NOT NULL
batch_lines.book text NOT NULL
batch_lines.route text NOT NULL DEFAULT ''::text
batch_lines.amount bigint NOT NULL
batches.shard smallint NOT NULL
batches.epoch bigint NOT NULL
batches.q_from bigint NOT NULL
batches.q_to bigint NOT NULL
batches.chain text NOT NULL
batches.clock_ms bigint NOT NULL
batches.sha bytea NOT NULL
batches.posted_at timestamp with time zone NOT NULL DEFAULT now()
batches.first_charge bytea
batches.last_charge bytea
batches.charges_sha bytea
batches.controls bigint[]
batches.others_sha bytea
batches.seal bytea
charges.id bytea NOT NULL
charges.account_id bigint
charges.key_id bigint
charges.held bigint NOT NULL
charges.captured bigint NOT NULL DEFAULT 0
charges.refunded bigint NOT NULL DEFAULT 0
charges.balance_after bigint
charges.opened_q bigint NOT NULL
charges.opened_aseq bigint
charges.closed_q bigint
charges.closed_aseq bigint
charges.closed_at timestamp with time zone
charges.deadline_ms bigint
charges.opened_epoch integer NOT NULL
charges.closed_epoch integer
charges.price_version integer NOT NULL
charges.rule smallint NOT NULL
charges.credit_type_id smallint NOT NULL
charges.state smallint NOT NULL
charges.reason smallint
charges.status smallint
charges.duration_ms integer
charges.written_off bigint
charges.uncollected bigint
charges.allocation bytea
charges.units jsonb
charges.measured jsonb
charges.record jsonb
charges.note text
control_requests.source text NOT NULL
control_requests.source_id text NOT NULL
control_requests.account_id bigint NOT NULL
control_requests.request text NOT NULL
control_requests.cseq bigint
control_requests.object_id bigint
control_requests.asked_at timestamp with time zone NOT NULL DEFAULT now()
controls.account_id bigint NOT NULL
controls.cseq bigint NOT NULL
controls.kind text NOT NULL
controls.credit_type_id smallint NOT NULL DEFAULT 0
controls.object_id bigint NOT NULL DEFAULT 0
controls.amount bigint NOT NULL DEFAULT 0
controls.priority smallint NOT NULL DEFAULT 0
controls.expires_ms bigint NOT NULL DEFAULT '281474976710655'::bigint
controls.flags smallint NOT NULL DEFAULT 0
controls.actor text NOT NULL
controls.source text NOT NULL
controls.source_id text NOT NULL
controls.entry_kind text
controls.description text NOT NULL DEFAULT ''::text
controls.reference text
controls.metadata jsonb NOT NULL DEFAULT '{}'::jsonb
controls.created_at timestamp with time zone NOT NULL DEFAULT now()
credit_types.id smallint NOT NULL
credit_types.name text NOT NULL
credit_types.scale smallint NOT NULL
credit_types.window_units bigint NOT NULL DEFAULT 1000000
credit_types.created_at timestamp with time zone NOT NULL DEFAULT now()
dead_facts.shard smallint NOT NULL
dead_facts.epoch bigint NOT NULL
dead_facts.q bigint NOT NULL
dead_facts.account_id bigint
dead_facts.fact bytea NOT NULL
dead_facts.why text NOT NULL
dead_facts.at timestamp with time zone NOT NULL DEFAULT now()
dead_facts.resolved_at timestamp with time zone
findings.id bigint NOT NULL IDENTITY
findings.check_name text NOT NULL
findings.account_id bigint
findings.detail text NOT NULL
findings.found_at timestamp with time zone NOT NULL DEFAULT now()
findings.seen_at timestamp with time zone NOT NULL DEFAULT now()
findings.resolved_at timestamp with time zone
findings.effect text
gateways.id text NOT NULL
gateways.host text NOT NULL
gateways.started_at timestamp with time zone NOT NULL DEFAULT now()
gateways.seen_at timestamp with time zone NOT NULL DEFAULT now()
gateways.price_version integer
gateways.file_sha256 bytea
gateways.refusal jsonb
grants.id bigint NOT NULL IDENTITY
grants.account_id bigint NOT NULL
grants.credit_type_id smallint NOT NULL
grants.kind text NOT NULL
grants.amount bigint NOT NULL
grants.remaining bigint NOT NULL DEFAULT 0
grants.held bigint NOT NULL DEFAULT 0
grants.clawed bigint NOT NULL DEFAULT 0
grants.expired bigint NOT NULL DEFAULT 0
grants.priority smallint NOT NULL DEFAULT 100
grants.effective_at timestamp with time zone
grants.expires_ms bigint NOT NULL DEFAULT '281474976710655'::bigint
grants.state text NOT NULL
grants.enters smallint NOT NULL DEFAULT 0
grants.charge_id bytea
grants.description text NOT NULL DEFAULT ''::text
grants.reference text
grants.metadata jsonb NOT NULL DEFAULT '{}'::jsonb
grants.actor text NOT NULL
grants.created_at timestamp with time zone NOT NULL DEFAULT now()
key_caps.key_id bigint NOT NULL
key_caps.credit_type_id smallint NOT NULL
key_caps.per text NOT NULL
key_caps.units bigint NOT NULL
limit_uses.whose text NOT NULL
limit_uses.owner bigint NOT NULL
limit_uses.route bytea NOT NULL
limit_uses.limit_id bytea NOT NULL
limit_uses.window_number bigint NOT NULL
limit_uses.used bigint NOT NULL
limit_uses.account_id bigint NOT NULL
movements.account_id bigint NOT NULL
movements.aseq bigint NOT NULL
movements.id bytea NOT NULL
movements.credit_type_id smallint NOT NULL
movements.kind text NOT NULL
movements.amount bigint NOT NULL
movements.balance_after bigint NOT NULL
movements.cseq bigint
movements.grant_id bigint
movements.epoch bigint NOT NULL
movements.q bigint NOT NULL
movements.at timestamp with time zone NOT NULL
overtaken_endings.charge_id bytea NOT NULL
overtaken_endings.account_id bigint NOT NULL
overtaken_endings.epoch bigint NOT NULL
overtaken_endings.q bigint NOT NULL
overtaken_endings.aseq bigint NOT NULL
overtaken_endings.balance_after bigint NOT NULL
page_sessions.token_sha256 bytea NOT NULL
page_sessions.account_id bigint
page_sessions.admin_id bigint
page_sessions.created_at timestamp with time zone NOT NULL DEFAULT now()
page_sessions.expires_at timestamp with time zone NOT NULL
page_sessions.key_id bigint
pools.account_id bigint NOT NULL
pools.credit_type_id smallint NOT NULL
pools.remaining bigint NOT NULL DEFAULT 0
pools.held bigint NOT NULL DEFAULT 0
pools.debt bigint NOT NULL DEFAULT 0
pools.floor bigint NOT NULL DEFAULT 0
pools.granted bigint NOT NULL DEFAULT 0
pools.refunded bigint NOT NULL DEFAULT 0
pools.captured bigint NOT NULL DEFAULT 0
pools.expired bigint NOT NULL DEFAULT 0
pools.clawed bigint NOT NULL DEFAULT 0
pools.written_off bigint NOT NULL DEFAULT 0
price_refusals.id bigint NOT NULL IDENTITY
price_refusals.gateway_id text NOT NULL
price_refusals.sha256 bytea NOT NULL
price_refusals.problems jsonb NOT NULL
price_refusals.at timestamp with time zone NOT NULL DEFAULT now()
price_rules.version integer NOT NULL
price_rules.rule smallint NOT NULL
price_rules.route text NOT NULL
price_rules.path text NOT NULL
price_rules.methods text[] NOT NULL
price_rules.credit_type text NOT NULL
price_rules.price jsonb NOT NULL
price_texts.sha256 bytea NOT NULL
price_texts.text text NOT NULL
price_versions.version integer NOT NULL
price_versions.sha256 bytea NOT NULL
price_versions.source text NOT NULL
price_versions.actor text NOT NULL
price_versions.published_at timestamp with time zone NOT NULL DEFAULT now()
price_versions.home text NOT NULL DEFAULT 'file'::text
price_versions.in_file boolean
retired_partitions.name text NOT NULL
retired_partitions.from_id bytea NOT NULL
retired_partitions.to_id bytea NOT NULL
retired_partitions.charges bigint NOT NULL
retired_partitions.retired_at timestamp with time zone NOT NULL DEFAULT now()
secrets.purpose text NOT NULL
secrets.secret bytea NOT NULL
secrets.made_at timestamp with time zone NOT NULL DEFAULT now()
shards.id smallint NOT NULL
shards.epoch bigint NOT NULL DEFAULT 0
shards.incarnation text NOT NULL DEFAULT ''::text
shards.last_q bigint NOT NULL DEFAULT 0
shards.last_chain text NOT NULL DEFAULT '0000000000000000'::text
shards.last_sha bytea NOT NULL DEFAULT decode(repeat('00'::text, 32), 'hex'::text)
shards.open_at_start jsonb NOT NULL DEFAULT '{}'::jsonb
shards.clock_ms bigint NOT NULL DEFAULT 0
shards.posted_at timestamp with time zone
sign_in_links.token_sha256 bytea NOT NULL
sign_in_links.account_id bigint NOT NULL
sign_in_links.expires_at timestamp with time zone NOT NULL
sign_in_links.used_at timestamp with time zone

-- constraints
accounts CHECK ((((length(external_id) >= 1) AND (length(external_id) <= 200)) AND (external_id !~ '^(acc|key|grt)_[0-9]+$'::text)))
accounts CHECK (((status >= 1) AND (status <= 3)))
accounts CHECK ((cseq_applied <= cseq_head))
accounts FOREIGN KEY (shard) REFERENCES shards(id)
accounts PRIMARY KEY (id)
accounts UNIQUE (external_id)
admins CHECK ((length(token_sha256) = 32))
admins CHECK ((name <> ''::text))
admins PRIMARY KEY (id)
admins UNIQUE (name)
admins UNIQUE (token_sha256)
api_keys CHECK (((scopes >= 1) AND (scopes <= 3)))
api_keys CHECK (((status = 2) = (revoked_at IS NOT NULL)))
api_keys CHECK ((length(prefix) = 12))
api_keys CHECK ((length(sha256) = 32))
api_keys CHECK ((status = ANY (ARRAY[1, 2])))
api_keys FOREIGN KEY (account_id) REFERENCES accounts(id)
api_keys FOREIGN KEY (replaces) REFERENCES api_keys(id)
api_keys PRIMARY KEY (id)
api_keys UNIQUE (sha256)
audit CHECK ((actor <> ''::text))
audit PRIMARY KEY (id)
batch_lines CHECK ((amount <> 0))
batch_lines CHECK ((book = ANY (ARRAY['issued'::text, 'credits'::text, 'debt'::text, 'revenue'::text, 'breakage'::text, 'writeoff'::text])))
batch_lines FOREIGN KEY (credit_type_id) REFERENCES credit_types(id)
batch_lines FOREIGN KEY (shard, epoch, q_from) REFERENCES batches(shard, epoch, q_from)
batch_lines PRIMARY KEY (shard, epoch, q_from, credit_type_id, book, route)
batches CHECK (((first_charge IS NULL) = (last_charge IS NULL)))
batches CHECK ((length(charges_sha) = 32))
batches CHECK ((length(others_sha) = 32))
batches CHECK ((length(seal) = 32))
batches CHECK ((length(sha) = 32))
batches CHECK ((num_nulls(seal, charges_sha, controls, others_sha) = ANY (ARRAY[0, 4])))
batches CHECK ((q_from >= 1))
batches CHECK ((q_to >= q_from))
batches FOREIGN KEY (shard) REFERENCES shards(id)
batches PRIMARY KEY (shard, epoch, q_from)
batches UNIQUE (shard, epoch, q_to)
charges CHECK (((captured = 0) OR (state = ANY (ARRAY[2, 5]))))
charges CHECK (((captured >= 0) AND (captured <= held)))
charges CHECK (((held >= 0) AND (held <= '90000000000000'::bigint)))
charges CHECK (((refunded >= 0) AND (refunded <= captured)))
charges CHECK (((state = 1) = (closed_q IS NULL)))
charges CHECK (((state = 1) = (deadline_ms IS NOT NULL)))
charges CHECK (((state >= 1) AND (state <= 6)))
charges CHECK ((length(id) = 12))
charges CHECK ((uncollected > 0))
charges CHECK ((written_off > 0))
charges PRIMARY KEY (id)
control_requests CHECK ((source <> ''::text))
control_requests CHECK ((source_id <> ''::text))
control_requests FOREIGN KEY (account_id) REFERENCES accounts(id)
control_requests PRIMARY KEY (source, source_id)
controls CHECK (((amount >= 0) AND (amount <= '90000000000000'::bigint)))
controls CHECK (((kind <> ALL (ARRAY['g'::text, 'w'::text, 'e'::text])) OR ((amount >= 1) AND (credit_type_id >= 1))))
controls CHECK (((kind = 'w'::text) = (entry_kind IS NOT NULL)))
controls CHECK (((priority >= 0) AND (priority <= 255)))
controls CHECK ((actor <> ''::text))
controls CHECK ((cseq >= 1))
controls CHECK ((entry_kind = ANY (ARRAY['clawback'::text, 'adjustment'::text])))
controls CHECK ((kind = ANY (ARRAY['g'::text, 'w'::text, 'f'::text, 'k'::text, 'e'::text, 'c'::text])))
controls CHECK ((object_id >= 0))
controls FOREIGN KEY (account_id) REFERENCES accounts(id)
controls PRIMARY KEY (account_id, cseq)
controls UNIQUE (source, source_id)
credit_types CHECK (((id >= 1) AND (id <= 255)))
credit_types CHECK (((scale >= 0) AND (scale <= 12)))
credit_types CHECK (((window_units >= 1) AND (window_units <= '90000000000000'::bigint)))
credit_types CHECK ((name <> ''::text))
credit_types PRIMARY KEY (id)
credit_types UNIQUE (name)
dead_facts PRIMARY KEY (shard, epoch, q)
findings CHECK ((effect = ANY (ARRAY['account'::text, 'shard'::text])))
findings PRIMARY KEY (id)
gateways FOREIGN KEY (price_version) REFERENCES price_versions(version)
gateways PRIMARY KEY (id)
grants CHECK (((((remaining + held) + clawed) + expired) <= amount))
grants CHECK (((amount >= 1) AND (amount <= '90000000000000'::bigint)))
grants CHECK (((expires_ms >= 1) AND (expires_ms <= '281474976710655'::bigint)))
grants CHECK (((kind = 'refund'::text) = (charge_id IS NOT NULL)))
grants CHECK (((length(reference) >= 1) AND (length(reference) <= 200)))
grants CHECK (((priority >= 0) AND (priority <= 255)))
grants CHECK ((clawed >= 0))
grants CHECK ((expired >= 0))
grants CHECK ((held >= 0))
grants CHECK ((kind = ANY (ARRAY['purchase'::text, 'subscription'::text, 'promotion'::text, 'adjustment'::text, 'refund'::text])))
grants CHECK ((length(charge_id) = 12))
grants CHECK ((remaining >= 0))
grants CHECK ((state = ANY (ARRAY['scheduled'::text, 'pending'::text, 'queued'::text, 'live'::text, 'spent'::text, 'expired'::text, 'clawed'::text])))
grants FOREIGN KEY (account_id) REFERENCES accounts(id)
grants FOREIGN KEY (credit_type_id) REFERENCES credit_types(id)
grants PRIMARY KEY (id)
grants UNIQUE (account_id, reference)
key_caps CHECK (((units >= 0) AND (units <= '90000000000000'::bigint)))
key_caps CHECK ((per = ANY (ARRAY['total'::text, 'day'::text, 'month'::text])))
key_caps FOREIGN KEY (credit_type_id) REFERENCES credit_types(id)
key_caps FOREIGN KEY (key_id) REFERENCES api_keys(id)
key_caps PRIMARY KEY (key_id, credit_type_id, per)
limit_uses CHECK ((length(limit_id) = 4))
limit_uses CHECK ((length(route) = 4))
limit_uses CHECK ((owner >= 0))
limit_uses CHECK ((used >= 0))
limit_uses CHECK ((whose = ANY (ARRAY['k'::text, 'a'::text, 'e'::text])))
limit_uses CHECK ((window_number >= 0))
limit_uses PRIMARY KEY (whose, owner, route, limit_id)
movements CHECK ((kind = ANY (ARRAY['purchase'::text, 'subscription'::text, 'promotion'::text, 'adjustment'::text, 'refund'::text, 'clawback'::text, 'expiry'::text])))
movements CHECK ((length(id) = 12))
movements FOREIGN KEY (account_id) REFERENCES accounts(id)
movements FOREIGN KEY (credit_type_id) REFERENCES credit_types(id)
movements FOREIGN KEY (grant_id) REFERENCES grants(id)
movements PRIMARY KEY (account_id, aseq)
overtaken_endings CHECK ((length(charge_id) = 12))
overtaken_endings FOREIGN KEY (account_id) REFERENCES accounts(id)
overtaken_endings PRIMARY KEY (charge_id)
page_sessions CHECK (((account_id IS NULL) <> (admin_id IS NULL)))
page_sessions CHECK ((length(token_sha256) = 32))
page_sessions FOREIGN KEY (account_id) REFERENCES accounts(id)
page_sessions FOREIGN KEY (admin_id) REFERENCES admins(id)
page_sessions FOREIGN KEY (key_id) REFERENCES api_keys(id)
page_sessions PRIMARY KEY (token_sha256)
pools CHECK ((captured >= 0))
pools CHECK ((clawed >= 0))
pools CHECK ((debt >= 0))
pools CHECK ((expired >= 0))
pools CHECK ((floor >= 0))
pools CHECK ((granted >= 0))
pools CHECK ((held >= 0))
pools CHECK ((refunded >= 0))
pools CHECK ((remaining >= 0))
pools CHECK ((written_off >= 0))
pools FOREIGN KEY (account_id) REFERENCES accounts(id)
pools FOREIGN KEY (credit_type_id) REFERENCES credit_types(id)
pools PRIMARY KEY (account_id, credit_type_id)
price_refusals CHECK ((length(sha256) = 32))
price_refusals PRIMARY KEY (id)
price_rules CHECK ((rule >= 0))
price_rules FOREIGN KEY (version) REFERENCES price_versions(version)
price_rules PRIMARY KEY (version, rule)
price_texts CHECK ((length(sha256) = 32))
price_texts PRIMARY KEY (sha256)
price_versions CHECK ((home = ANY (ARRAY['file'::text, 'database'::text])))
price_versions CHECK ((source = ANY (ARRAY['file'::text, 'rollback'::text, 'admin'::text])))
price_versions CHECK ((version >= 1))
price_versions FOREIGN KEY (sha256) REFERENCES price_texts(sha256)
price_versions PRIMARY KEY (version)
retired_partitions PRIMARY KEY (name)
secrets CHECK ((length(secret) = 32))
secrets CHECK ((purpose <> ''::text))
secrets PRIMARY KEY (purpose)
shards CHECK ((epoch >= 0))
shards CHECK ((id >= 0))
shards CHECK ((last_q >= 0))
shards CHECK ((length(last_chain) = 16))
shards CHECK ((length(last_sha) = 32))
shards PRIMARY KEY (id)
sign_in_links CHECK ((length(token_sha256) = 32))
sign_in_links FOREIGN KEY (account_id) REFERENCES accounts(id)
sign_in_links PRIMARY KEY (token_sha256)

-- indexes
CREATE INDEX accounts_waiting ON public.accounts USING btree (shard, id) WHERE (cseq_head > cseq_applied)
CREATE INDEX api_keys_of_account ON public.api_keys USING btree (account_id, id)
CREATE INDEX audit_of_target ON public.audit USING btree (target, id)
CREATE INDEX charges_of_account ON ONLY public.charges USING btree (account_id, id)
CREATE INDEX charges_overdue ON ONLY public.charges USING btree (deadline_ms) WHERE (state = 1)
CREATE INDEX grants_due ON public.grants USING btree (expires_ms) WHERE ((state = 'live'::text) AND (expires_ms < '281474976710655'::bigint))
CREATE INDEX grants_of_account ON public.grants USING btree (account_id, id)
CREATE INDEX grants_of_charge ON public.grants USING btree (charge_id) WHERE (charge_id IS NOT NULL)
CREATE INDEX grants_open ON public.grants USING btree (account_id, credit_type_id) WHERE (state = ANY (ARRAY['scheduled'::text, 'pending'::text, 'queued'::text, 'live'::text]))
CREATE INDEX grants_waiting ON public.grants USING btree (account_id, effective_at) WHERE (state = ANY (ARRAY['scheduled'::text, 'queued'::text]))
CREATE INDEX limit_uses_of_account ON public.limit_uses USING btree (account_id)
CREATE INDEX movements_in_journal ON public.movements USING btree (epoch, q)
CREATE INDEX movements_in_order ON public.movements USING btree (account_id, id)
CREATE INDEX overtaken_endings_in_journal ON public.overtaken_endings USING btree (epoch, q)
CREATE INDEX overtaken_endings_of_account ON public.overtaken_endings USING btree (account_id)
CREATE INDEX page_sessions_expiry ON public.page_sessions USING btree (expires_at)
CREATE UNIQUE INDEX accounts_external_id_key ON public.accounts USING btree (external_id)
CREATE UNIQUE INDEX accounts_pkey ON public.accounts USING btree (id)
CREATE UNIQUE INDEX admins_name_key ON public.admins USING btree (name)
CREATE UNIQUE INDEX admins_pkey ON public.admins USING btree (id)
CREATE UNIQUE INDEX admins_token_sha256_key ON public.admins USING btree (token_sha256)
CREATE UNIQUE INDEX api_keys_pkey ON public.api_keys USING btree (id)
CREATE UNIQUE INDEX api_keys_sha256_key ON public.api_keys USING btree (sha256)
CREATE UNIQUE INDEX audit_pkey ON public.audit USING btree (id)
CREATE UNIQUE INDEX batch_lines_pkey ON public.batch_lines USING btree (shard, epoch, q_from, credit_type_id, book, route)
CREATE UNIQUE INDEX batches_pkey ON public.batches USING btree (shard, epoch, q_from)
CREATE UNIQUE INDEX batches_shard_epoch_q_to_key ON public.batches USING btree (shard, epoch, q_to)
CREATE UNIQUE INDEX charges_pkey ON ONLY public.charges USING btree (id)
CREATE UNIQUE INDEX control_requests_pkey ON public.control_requests USING btree (source, source_id)
CREATE UNIQUE INDEX controls_pkey ON public.controls USING btree (account_id, cseq)
CREATE UNIQUE INDEX controls_source_source_id_key ON public.controls USING btree (source, source_id)
CREATE UNIQUE INDEX credit_types_name_key ON public.credit_types USING btree (name)
CREATE UNIQUE INDEX credit_types_pkey ON public.credit_types USING btree (id)
CREATE UNIQUE INDEX dead_facts_pkey ON public.dead_facts USING btree (shard, epoch, q)
CREATE UNIQUE INDEX findings_open ON public.findings USING btree (check_name, COALESCE(account_id, (0)::bigint), md5(detail)) WHERE (resolved_at IS NULL)
CREATE UNIQUE INDEX findings_pkey ON public.findings USING btree (id)
CREATE UNIQUE INDEX gateways_pkey ON public.gateways USING btree (id)
CREATE UNIQUE INDEX grants_account_id_reference_key ON public.grants USING btree (account_id, reference)
CREATE UNIQUE INDEX grants_pkey ON public.grants USING btree (id)
CREATE UNIQUE INDEX key_caps_pkey ON public.key_caps USING btree (key_id, credit_type_id, per)
CREATE UNIQUE INDEX limit_uses_pkey ON public.limit_uses USING btree (whose, owner, route, limit_id)
CREATE UNIQUE INDEX movements_pkey ON public.movements USING btree (account_id, aseq)
CREATE UNIQUE INDEX overtaken_endings_pkey ON public.overtaken_endings USING btree (charge_id)
CREATE UNIQUE INDEX page_sessions_pkey ON public.page_sessions USING btree (token_sha256)
CREATE UNIQUE INDEX pools_pkey ON public.pools USING btree (account_id, credit_type_id)
CREATE UNIQUE INDEX price_refusals_pkey ON public.price_refusals USING btree (id)
CREATE UNIQUE INDEX price_rules_pkey ON public.price_rules USING btree (version, rule)
CREATE UNIQUE INDEX price_texts_pkey ON public.price_texts USING btree (sha256)
CREATE UNIQUE INDEX price_versions_pkey ON public.price_versions USING btree (version)
CREATE UNIQUE INDEX retired_partitions_pkey ON public.retired_partitions USING btree (name)
CREATE UNIQUE INDEX secrets_pkey ON public.secrets USING btree (purpose)
CREATE UNIQUE INDEX shards_pkey ON public.shards USING btree (id)
CREATE UNIQUE INDEX sign_in_links_pkey ON public.sign_in_links USING btree (token_sha256)

-- triggers
CREATE CONSTRAINT TRIGGER batch_lines_balance AFTER INSERT ON public.batch_lines DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION batch_balances()
CREATE TRIGGER audit_append_only BEFORE DELETE OR UPDATE ON public.audit FOR EACH ROW EXECUTE FUNCTION refuse_change()
CREATE TRIGGER batch_lines_append_only BEFORE DELETE OR UPDATE ON public.batch_lines FOR EACH ROW EXECUTE FUNCTION refuse_change()
CREATE TRIGGER batches_append_only BEFORE DELETE OR UPDATE ON public.batches FOR EACH ROW EXECUTE FUNCTION refuse_change()
CREATE TRIGGER controls_append_only BEFORE DELETE OR UPDATE ON public.controls FOR EACH ROW EXECUTE FUNCTION refuse_change()
CREATE TRIGGER overtaken_endings_append_only BEFORE DELETE OR UPDATE ON public.overtaken_endings FOR EACH ROW EXECUTE FUNCTION refuse_change()

-- functions
CREATE OR REPLACE FUNCTION public.batch_balances()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF EXISTS (SELECT FROM batch_lines
                WHERE (shard, epoch, q_from) = (NEW.shard, NEW.epoch, NEW.q_from)
                GROUP BY credit_type_id HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'lines of batch %-%-% do not balance', NEW.shard, NEW.epoch, NEW.q_from
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $function$
CREATE OR REPLACE FUNCTION public.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $function$

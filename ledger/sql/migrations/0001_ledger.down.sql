-- lossy: drops every account, grant, charge and price version.
DROP TABLE findings, dead_facts, audit, page_sessions, sign_in_links, admins, gateways, price_refusals;
DROP TABLE api_keys, batch_lines, batches;
DROP VIEW entries;
DROP TABLE price_rules, price_versions, price_texts;
DROP TABLE movements, retired_partitions, charges, grants, controls, control_requests;
DROP TABLE pools, accounts, credit_types, shards;
DROP FUNCTION batch_balances(), refuse_change();
DROP SEQUENCE session_numbers;

-- lossy: which plan charges were priced by, and what subscriptions say. Controls that set plans stay in the log.
ALTER TABLE charges DROP COLUMN plan;
DROP TABLE subscribed_plans;
DROP TABLE plans;
DROP INDEX controls_of_plans;
DROP INDEX accounts_of_plans;
ALTER TABLE controls
    DROP CONSTRAINT controls_kind_check,
    ADD CONSTRAINT controls_kind_check CHECK (kind IN ('g', 'w', 'f', 'k', 'e', 'c')) NOT VALID;

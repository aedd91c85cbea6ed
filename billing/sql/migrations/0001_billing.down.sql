-- lossy: customers, orders, payments, refunds, disputes, subscriptions, the webhook inbox and all else that selling knows
DROP SCHEMA billing CASCADE;

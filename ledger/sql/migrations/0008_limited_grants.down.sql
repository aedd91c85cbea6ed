-- lossy: what grants are limited to. Their credits can be used on all routes then; run `farebox rebuild`
-- too, for the accounts in Redis that have such lots.
DROP INDEX grants_limited;
ALTER TABLE controls DROP COLUMN reach_id;
ALTER TABLE grants DROP COLUMN reach_id;
DROP TABLE grant_reaches;

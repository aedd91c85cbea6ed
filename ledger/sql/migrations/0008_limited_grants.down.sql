-- lossy: what grants are limited to. Their credits can be used on all routes then.
DROP INDEX grants_limited;
ALTER TABLE controls DROP COLUMN reach_id;
ALTER TABLE grants DROP COLUMN reach_id;
DROP TABLE grant_reaches;

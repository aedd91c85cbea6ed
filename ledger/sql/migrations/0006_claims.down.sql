-- lossy: which Idempotency-Keys were used in the last day, and the answers kept for them.
DROP TABLE reply_rooms;
DROP TABLE replies;
DROP TABLE claims;

-- name: revenue
-- What came in, by day (UTC) and currency. Tax is the state's, not revenue.
SELECT (p.paid_at AT TIME ZONE 'UTC')::date AS day, p.currency,
       count(*) AS payments,
       count(DISTINCT p.account_id) AS paying_accounts,
       coalesce(sum(p.paid_minor - p.tax_minor) FILTER (WHERE p.source <> 'invoice'), 0)::bigint AS one_time_minor,
       coalesce(sum(p.paid_minor - p.tax_minor) FILTER (WHERE p.source = 'invoice'), 0)::bigint AS recurring_minor,
       coalesce(sum(p.tax_minor), 0)::bigint AS tax_minor,
       coalesce(sum(p.fee_minor) FILTER (WHERE p.fee_currency = p.currency), 0)::bigint AS fee_minor,
       count(*) FILTER (WHERE p.paid_minor > 0 AND (p.fee_minor IS NULL OR p.fee_currency <> p.currency)) AS fees_unknown
  FROM billing.payments p
 WHERE p.livemode = $1 AND p.paid_at >= $2 AND p.paid_at < $3
 GROUP BY 1, 2 ORDER BY 1, 2

-- name: given_back
-- Without the share of tax that goes back with it, as revenue is without tax; rounded up.
SELECT b.day, b.currency,
       sum(ceil(b.refunded_minor::numeric * (p.paid_minor - p.tax_minor) / p.paid_minor))::bigint AS refunded_minor,
       sum(ceil(b.disputed_minor::numeric * (p.paid_minor - p.tax_minor) / p.paid_minor))::bigint AS disputed_minor
  FROM (SELECT (created_at AT TIME ZONE 'UTC')::date AS day, currency, payment_id,
               amount_minor AS refunded_minor, 0 AS disputed_minor
          FROM billing.stripe_refunds
         WHERE livemode = $1 AND created_at >= $2 AND created_at < $3
           AND status IN ('pending', 'requires_action', 'succeeded')
        UNION ALL
        SELECT (created_at AT TIME ZONE 'UTC')::date, currency, payment_id, 0, greatest(withdrawn_minor, 0)
          FROM billing.disputes
         WHERE livemode = $1 AND created_at >= $2 AND created_at < $3) b
  JOIN billing.payments p ON p.id = b.payment_id AND p.paid_minor > 0
 GROUP BY b.day, b.currency ORDER BY b.day, b.currency

-- name: in_all
-- Accounts and payments over the whole time: a sum of days would count an account once a day.
SELECT currency, count(*) AS payments, count(DISTINCT account_id) AS paying_accounts,
       count(*) FILTER (WHERE reversed_minor > 0) AS reversed_payments
  FROM billing.payments WHERE livemode = $1 AND paid_at >= $2 AND paid_at < $3
 GROUP BY currency ORDER BY currency

-- name: packages
SELECT o.package, p.currency, count(*) AS payments, sum(p.quantity)::bigint AS quantity,
       sum(p.paid_minor - p.tax_minor)::bigint AS revenue_minor
  FROM billing.payments p JOIN billing.orders o ON o.id = p.order_id
 WHERE p.livemode = $1 AND p.paid_at >= $2 AND p.paid_at < $3
 GROUP BY o.package, p.currency ORDER BY payments DESC, o.package, p.currency

-- name: begun
-- How many of the purchases that were begun were paid for.
SELECT count(*) AS started, count(*) FILTER (WHERE state = 'paid') AS completed,
       count(*) FILTER (WHERE state IN ('failed', 'expired', 'canceled')) AS given_up
  FROM billing.orders WHERE livemode = $1 AND created_at >= $2 AND created_at < $3

-- name: subscribed
-- Those that pay now, by currency and rhythm.
SELECT currency, interval, interval_count, count(*) AS count, sum(period_minor)::bigint AS period_minor
  FROM billing.subscriptions WHERE livemode = $1 AND status IN ('active', 'past_due')
 GROUP BY currency, interval, interval_count ORDER BY currency, interval, interval_count

-- name: churn
-- Of the subscriptions that were there when the time began, how many had ended when it was over.
SELECT count(*) FILTER (WHERE created_at < $2 AND (ended_at IS NULL OR ended_at >= $2)) AS at_start,
       count(*) FILTER (WHERE created_at < $2 AND ended_at >= $2 AND ended_at < $3) AS ended,
       count(*) FILTER (WHERE created_at >= $2 AND created_at < $3) AS begun,
       count(*) FILTER (WHERE status IN ('active', 'past_due')) AS active,
       count(*) FILTER (WHERE status = 'trialing') AS trialing,
       count(*) FILTER (WHERE ended_at IS NOT NULL) AS churned
  FROM billing.subscriptions WHERE livemode = $1

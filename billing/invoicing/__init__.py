"""Subscriptions and their invoices: each period's payment gives that period's credits."""

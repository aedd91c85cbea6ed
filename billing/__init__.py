"""
Selling credits: packages, orders, payments, and all that may become of a payment.

`billing.billing` puts everything together; `billing.shop` is what each part is given. Nothing is
imported here, so that an error's name does not cost the import of Stripe's library.
"""

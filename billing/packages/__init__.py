"""What is for sale: packages of the price file, of admins and of Stripe, as offers."""

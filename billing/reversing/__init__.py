"""What goes back: refunds, disputes, signs of fraud, and the credits that go with the money."""

"""What people are told: notices by mail and webhook, low balances, and alerts for the operator."""

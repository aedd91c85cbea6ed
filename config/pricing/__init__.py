"""What a request costs: measuring it before the call, metering it after, and all the arithmetic."""

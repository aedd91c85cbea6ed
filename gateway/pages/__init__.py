"""Pages for people: the frame, safety and forms that the consumer's and the admin's share."""

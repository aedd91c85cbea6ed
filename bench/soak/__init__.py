"""A gateway under load for long, with clients that vanish: does anything leak?"""

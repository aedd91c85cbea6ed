"""Automatic top-up: who asked for it, when it is due, and one try at a time."""

"""
What admins and consumers may do with the ledger, each operation once.

A module holds what an operation is given, what it answers and the operation itself. The
routes of both listeners and the commands call these, so that they cannot differ.
"""

"""The consumer's pages, below the prefix."""

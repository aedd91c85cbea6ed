"""The commands of `farebox`; each calls the same operation as its admin route."""

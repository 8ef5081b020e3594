"""The ledger knows every drop and job; it is the truth that all else follows. Pure."""

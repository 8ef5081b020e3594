"""The ledger: every drop and job, and the source of truth for everything else. No I/O."""

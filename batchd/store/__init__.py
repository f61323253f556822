"""The ledger: states and the history of facts, in SQLite."""

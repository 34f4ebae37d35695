"""Tables and pages, from the ledger only."""

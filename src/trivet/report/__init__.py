"""Tables, from the ledger only."""

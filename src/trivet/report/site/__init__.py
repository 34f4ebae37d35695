"""The report as a static site: pages of a ledger that need no network and no script."""

"""How documents are found: one protocol, one retriever a file."""

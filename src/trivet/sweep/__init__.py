"""How runs are started: one process or many, one machine or a cluster."""

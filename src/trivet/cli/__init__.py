"""The roof: commands, no logic."""

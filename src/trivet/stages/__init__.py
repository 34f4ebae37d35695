"""The recipe, one stage a file. Read this room first."""

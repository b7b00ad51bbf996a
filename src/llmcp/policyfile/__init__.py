"""YAML text to policies or problems with positions."""

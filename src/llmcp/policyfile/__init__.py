"""YAML text to policies or problems with positions.

Rules:
1. Files are its callers' business: it takes bytes and names.
2. Effects, the catalog and the condition language come in as a `Vocabulary`.
"""

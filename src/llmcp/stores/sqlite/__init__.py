"""The store in one SQLite file: `audit_log` writes and reads records, `schema` says what there is, the others one thing each."""

"""Store adapters, one per URI scheme."""

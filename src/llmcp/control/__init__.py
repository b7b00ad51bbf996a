"""Control-plane use cases over ports."""

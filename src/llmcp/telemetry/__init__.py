"""Metrics export."""

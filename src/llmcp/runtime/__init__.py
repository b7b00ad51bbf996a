"""Sockets, daemon and recorder: the shells of the request path."""

"""The request path's pure machinery: one Exchange per request, streams, revisions."""

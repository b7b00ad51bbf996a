"""CEL behind the condition-compiler port."""

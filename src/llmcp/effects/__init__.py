"""Policy effects, one file each."""

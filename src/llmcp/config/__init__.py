"""Settings of a home and where its files lie. The only package that reads the environment."""

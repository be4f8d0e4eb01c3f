"""Loading an artifact into this process and calling it."""

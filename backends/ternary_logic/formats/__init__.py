"""Netlists as files that other tools read."""

"""Artifacts and running them: the file format, the loader, and the C runtime that every compiled model contains."""

"""The node tests that apply by their operators but are not run, each with its reason."""

EXCLUSIONS: dict[str, str] = {}

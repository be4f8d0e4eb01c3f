"""Comparing an artifact with its source model: outputs, every step, and whether float32 ties explain a difference."""

"""Lossy weights and activations, on request: ternary by several methods, signed-binary by region."""

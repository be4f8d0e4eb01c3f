"""Lossy weights, on request: ternary by several methods, signed-binary by region; see `apply.Ternarize`."""

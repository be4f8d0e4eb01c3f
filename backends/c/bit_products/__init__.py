"""Convolutions and matrix products of values that one or two bits hold: what they are, and what follows the sums."""

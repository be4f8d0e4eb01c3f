"""Convolutions of one map in planes, pixels in the lanes: what they are, and what becomes of their sums."""

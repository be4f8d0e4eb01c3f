"""What a program is turned into: `reference` gives operations their meaning, `c` generates kernels."""

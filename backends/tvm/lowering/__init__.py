"""From `tn` to Relax and primitive functions: a file for each family of operations."""

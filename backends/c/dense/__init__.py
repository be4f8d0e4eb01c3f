"""Dense products in register tiles: what they are, how they lie in registers and memory, and their C."""

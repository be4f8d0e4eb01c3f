"""From numbers to gates: how values lie on wires, how they are multiplied, added and compared."""

"""What a network costs in ternary gates and in binary ones: netlists that can be simulated, and counts of them."""

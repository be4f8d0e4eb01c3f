"""From programs of `tn` to netlists: what each operation on integers is in gates."""

"""Signed-binary weights: every region of a layer holds 0 and one of +a and -a."""

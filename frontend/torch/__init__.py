"""Networks of torch: their import, the quantizers to train them with, and their export."""

"""The benchmark suite behind `benchmarks/run.py`: what is measured, by whom, how, and what it is held against."""

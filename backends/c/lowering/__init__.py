"""From `tn` to `kn`: kernels, their engines, layouts and memory; `pipeline.py` lists the passes in order."""

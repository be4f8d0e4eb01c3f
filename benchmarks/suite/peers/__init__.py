"""The libraries that tercet is compared with.

Each module has the tables LAYERS and NETWORKS: form -> function of a layer (or of nothing) and the number of threads
that gives a clock, or raises LeftOut.
"""

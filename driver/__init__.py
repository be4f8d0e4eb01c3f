"""From a model to an artifact: the order of import, passes, C compiler and packing."""

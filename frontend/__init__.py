"""Readers of trained models: each turns a source format into a program of the dialect `tn`."""

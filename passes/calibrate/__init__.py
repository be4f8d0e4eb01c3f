"""Calibration: what lossy passes learn from data that the user gives."""

"""The report on a trained network: `report.py` measures, `result.py` holds what was found, `page.py` shows it."""

"""The report: a comparison with its curves and pictures as one HTML page."""

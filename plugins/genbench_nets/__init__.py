"""Blocks that several built-in models share: networks, losses, the evidence lower bound.

This package is not a plugin: it registers nothing. What belongs to one paper alone is in the
paper's own file.
"""

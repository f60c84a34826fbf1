"""Blocks that several built-in models share: networks, losses, the evidence lower bound.

No plugin of its own: it registers nothing. A model keeps in its own file what is its paper's.
"""

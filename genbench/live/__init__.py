"""Look at runs while other processes train them: in a terminal, and in a browser.

Everything is read from the store, which is opened read-only; a training never waits for a reader.
"""

"""What ``genbench doctor`` and ``plugins doctor`` find, and what ``--clean`` removes."""

"""What ``genbench plugins new`` writes: a package with tests that pass."""

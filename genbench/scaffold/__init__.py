"""What ``genbench plugins new`` writes: a package whose own tests pass."""

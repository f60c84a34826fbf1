"""What ``genbench plugins new`` writes, with $names filled in (see genbench.scaffold.package)."""

"""Files that people write and read: read within bounds, written whole or not at all."""

"""Files of a person's: read within bounds, written whole or not at all."""

"""How plugins are found, imported and kept apart; `genbench.registry` holds what they register."""

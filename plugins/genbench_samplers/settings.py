"""The settings of the built-in samplers (no torch here)."""

from __future__ import annotations

from genbench import Settings


class PlainSettings(Settings):
    """Plain sampling has nothing to set."""

"""How often Python looks for garbage: rarely until a run starts, as usual from then on."""

from __future__ import annotations

import gc

OBJECTS = 20_000
"""The new objects after which Python looks for garbage while a command starts.

With its own 700 it looks some 300 times while torch is imported, and finds nothing [4 to 10 % of
the CPU seconds of that import].
"""
_USUAL = gc.get_threshold()


def collect_rarely() -> None:
    """For the start of a command."""
    gc.set_threshold(OBJECTS)


def collect_as_usual() -> None:
    """For training: a model may leave tensors in reference cycles, which must not pile up."""
    gc.set_threshold(*_USUAL)

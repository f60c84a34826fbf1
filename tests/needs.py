"""Marks of tests that need a package of an extra; it is imported only when such a test runs."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def needs(package: str, extra: str) -> pytest.MarkDecorator:
    """Skips tests where a package is not installed: ``pytestmark = needs("optuna", "tune")``."""
    why = f"needs the package '{package}': pip install 'genbench[{extra}]'"
    return pytest.mark.skipif(find_spec(package) is None, reason=why)

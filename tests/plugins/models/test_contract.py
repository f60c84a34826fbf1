"""The built-in models keep the contract that every plugin keeps."""

from __future__ import annotations

import pytest

from genbench.testing import check_model


@pytest.mark.parametrize("model", ["vae", "gan", "dcgan", "vaegan"])
def test_the_built_in_model_keeps_the_contract(model):
    check_model(model)

from __future__ import annotations

import re

import pytest

from genbench import errors
from genbench.errors import GenbenchError, UnknownNameError, hints_for


def drawn_tree() -> dict[str, tuple[str, int]]:
    """Each error in the tree of the docstring, with its parent and exit code."""
    found, above = {}, {-1: "Exception"}
    for branch, name, code in re.findall(r"^    ([│├└─ ]*)(\w+) +(\d+) ", errors.__doc__, re.M):
        depth = len(branch) // 4
        found[name] = (above[depth - 1], int(code))
        above[depth] = name
    return found


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    classes = {
        name: (cls.__base__.__name__, cls.exit_code)
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, GenbenchError)
    }
    assert drawn_tree() == classes


def test_a_hint_follows_the_message_as_a_sentence_of_its_own() -> None:
    assert str(GenbenchError("it failed")) == "it failed"
    assert str(GenbenchError("it failed", hint="See: genbench runs")) == (
        "it failed. See: genbench runs"
    )
    unknown = UnknownNameError("model", "dcgn", ["dcgan"], see="genbench models")
    assert (unknown.hint, str(unknown).count("?.")) == ("See: genbench models", 0)


def test_code_that_knows_no_id_leaves_it_to_the_one_that_does() -> None:
    with pytest.raises(GenbenchError) as caught, hints_for("3f2a"):
        raise errors.CheckpointError("it is damaged", hint="To resume: genbench resume RUN")
    assert str(caught.value) == "it is damaged. To resume: genbench resume 3f2a"

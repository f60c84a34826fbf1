"""Which file has which command."""

from __future__ import annotations

from importlib import import_module

import pytest
import typer

from genbench.cli import GROUPS


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_adds_just_the_commands_it_is_listed_with(group):
    app = typer.Typer()
    import_module(f"genbench.cli.{group}").add_to(app)
    names = [command.name for command in app.registered_commands]
    names += [added.typer_instance.info.name for added in app.registered_groups]
    assert sorted(names) == sorted(GROUPS[group])

"""Which file has which command."""

from __future__ import annotations

import pytest

from genbench.cli import GROUPS, _app


@pytest.mark.parametrize("group", GROUPS)
def test_the_file_of_a_command_has_all_commands_that_it_is_listed_with(group):
    app = _app([GROUPS[group][-1]])
    assert all(command.callback.__doc__ for command in app.registered_commands)
    names = [command.name for command in app.registered_commands]
    names += [added.typer_instance.info.name for added in app.registered_groups]
    assert sorted(names) == sorted(GROUPS[group])

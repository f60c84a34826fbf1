"""Files of settings that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from genbench.errors import SettingError, UsageError
from genbench.files.toml import LARGEST, files_address, read_settings, read_toml


def test_a_file_without_end_is_given_up_after_a_megabyte() -> None:
    with pytest.raises(UsageError, match=r"/dev/zero holds more than 1,048,576 bytes"):
        read_toml(Path("/dev/zero"), "the study")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a = " + b"[" * 100_000, "not valid TOML: .*nested too deeply"),
        (b"a = ", "is not valid TOML: "),
        (b"a = '\xff'", "can't read the study .*: it is not UTF-8 text"),
        (b"a = '" + b"x" * LARGEST + b"'", "holds more than"),
    ],
)
def test_what_is_no_settings_file_is_one_sentence(tmp_path, content, sentence) -> None:
    (tmp_path / "s.toml").write_bytes(content)
    with pytest.raises((SettingError, UsageError), match=sentence):
        read_toml(tmp_path / "s.toml", "the study")


@pytest.mark.parametrize("text", ["tool = 3", "tool.genbench = 'x'"])
def test_a_project_with_something_else_as_table_has_no_address_and_no_settings(
    tmp_path, text
) -> None:
    """Every command looks for the address; only those that take their settings there say why."""
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    assert files_address([str(path)]) is None
    with pytest.raises(SettingError, match=r"\[tool.genbench\] must be a table"):
        read_settings(path)


def test_a_settings_file_is_read(tmp_path) -> None:
    (tmp_path / "s.toml").write_text("[model]\nz_dim = 20\n")
    assert read_toml(tmp_path / "s.toml", "the study") == {"model": {"z_dim": 20}}

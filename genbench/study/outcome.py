"""The store, data and device of a study, and the outcome of executing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from genbench.study.assignments import words


@dataclass(frozen=True, kw_only=True)
class Places:
    """The store, the data and the device of the commands.

    ``folder`` contains the study's measured paces and the logs of its runs.
    """

    store: str
    folder: Path
    data_dir: Path | None = None
    offline: bool = False
    device: str | None = None

    @property
    def environ(self) -> dict[str, str]:
        """The variables that tell the commands which store and which data to use.

        The arguments of a process can be read by all users of a machine, and the address of a store
        may have a password.
        """
        found = {"GENBENCH_STORE": self.store}
        found |= {"GENBENCH_OFFLINE": "1"} if self.offline else {}
        return found | ({"GENBENCH_DATA": str(self.data_dir)} if self.data_dir else {})

    @property
    def flags(self) -> tuple[str, ...]:
        """--device, if it is set."""
        return words({"device": self.device})


@dataclass
class Outcome:
    """The outcome of a study. ``remarks`` go below the tables; the numbers count runs."""

    remarks: list[str] = field(default_factory=list)
    failed: int = 0
    trained: int = 0
    reused: int = 0

    def remark(self, text: str) -> None:
        """Add a remark, unless it is there already."""
        if text not in self.remarks:
            self.remarks.append(text)

"""Where a study works, and what there was to say of its work that the store doesn't hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Places:
    """The store, the data and the device, as the runs' own commands take them.

    ``folder`` holds what a study keeps beside the store: its pace and the logs of its runs.
    """

    store: str
    folder: Path
    data_dir: Path | None = None
    offline: bool = False
    device: str | None = None

    @property
    def data_flags(self) -> tuple[str, ...]:
        """--data-dir, --offline and --device, where given."""
        flags: list[str] = []
        if self.data_dir is not None:
            flags += ["--data-dir", str(self.data_dir)]
        if self.offline:
            flags.append("--offline")
        if self.device is not None:
            flags += ["--device", self.device]
        return tuple(flags)

    @property
    def flags(self) -> tuple[str, ...]:
        """All of them, the store included."""
        return ("--store", self.store, *self.data_flags)


@dataclass
class Outcome:
    """What came of the work. ``remarks`` go beneath the tables; ``failed`` counts lost runs."""

    remarks: list[str] = field(default_factory=list)
    failed: int = 0
    trained: int = 0
    reused: int = 0

    def remark(self, text: str) -> None:
        """Say it once."""
        if text not in self.remarks:
            self.remarks.append(text)

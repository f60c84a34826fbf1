"""The IDX format of MNIST: a magic number, the dimensions, then the bytes.

Source: Yann LeCun's MNIST page. A file has ``00 00 08 NN`` (uint8, NN dimensions), then NN
big-endian 32-bit sizes, then the values in C order.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from genbench import DataError
from genbench_data.content_digest import LARGEST, unreadable


def read_idx(path: Path, *, dimensions: int, what: str) -> np.ndarray[Any, Any]:
    """Read an IDX file of bytes, compressed if its name ends in .gz, as uint8 (d1, d2, ...).

    It reads at most the size given in the header, and nothing if the size of the file doesn't match
    it. Raises DataError with the name of the file, what was expected and found, and the fix.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = _shape(path, file.read(4 + 4 * dimensions), dimensions, what)
            size = math.prod(shape)
            _check_size(path, what, start=4 + 4 * dimensions, size=size)
            content = file.read(size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        held = path.stat().st_size
        raise _corrupt(path, what, f"its {held:,} bytes can't be unpacked: {error}") from error
    except OSError as error:
        raise unreadable(what, path, error) from error
    if len(content) != size:
        start = 4 + 4 * dimensions
        found = "more" if len(content) > size else f"{start + len(content):,}"
        raise _corrupt(path, what, f"expected {start + size:,} bytes, found {found}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(path: Path, header: bytes, dimensions: int, what: str) -> tuple[int, ...]:
    magic = bytes((0, 0, 8, dimensions))
    if header[:4] != magic:
        begins = header[:4].hex(" ") or "nothing"
        raise _corrupt(path, what, f"it begins with {begins}, not {magic.hex(' ')}")
    if len(header) < 4 + 4 * dimensions:
        expected = 4 + 4 * dimensions
        raise _corrupt(path, what, f"expected {expected} bytes of header, found {len(header)}")
    return struct.unpack(f">{dimensions}I", header[4:])


def _check_size(path: Path, what: str, *, start: int, size: int) -> None:
    """Compare the header with the size of the file before memory is allocated."""
    found = path.stat().st_size
    if path.suffix != ".gz" and found != start + size:
        raise _corrupt(path, what, f"expected {start + size:,} bytes, found {found:,}")
    if size > LARGEST:
        claim = f"its header claims {size:,} values"
        raise _corrupt(path, what, f"{claim}, more than the maximum of {LARGEST:,}")


def _corrupt(path: Path, what: str, problem: str) -> DataError:
    return DataError(
        f"{what}: {path} is corrupt ({problem}); delete it to download it again, or replace it "
        f"with an intact copy"
    )

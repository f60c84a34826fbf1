"""The IDX format of MNIST: a magic number, the dimensions, then the bytes.

Source: Yann LeCun's page of MNIST. ``00 00 08 NN`` (uint8, NN dimensions), then NN big-endian
32-bit sizes, then the values, last dimension fastest.
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


def read_idx(path: Path, *, dimensions: int, what: str) -> np.ndarray[Any, Any]:
    """Read an IDX file of bytes, gzipped where its name ends in .gz, as uint8 (d1, d2, ...).

    Raises DataError with the file's name, what was expected and found, and the mend.
    """
    content = _bytes_of(path, what)
    start = 4 + 4 * dimensions
    magic = bytes((0, 0, 8, dimensions))
    if content[:4] != magic:
        raise _corrupt(
            path, what, f"it begins with {content[:4].hex(' ') or 'nothing'}, not {magic.hex(' ')}"
        )
    if len(content) < start:
        raise _corrupt(path, what, f"{start} bytes of header expected, {len(content)} found")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise _corrupt(path, what, f"{expected:,} bytes expected, {len(content):,} found")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _bytes_of(path: Path, what: str) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                return file.read()
        return path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        size = path.stat().st_size
        raise _corrupt(path, what, f"its {size:,} bytes don't unpack: {error}") from error
    except OSError as error:
        raise DataError(f"{what}: {path} can't be read: {error.strerror or error}") from error


def _corrupt(path: Path, what: str, problem: str) -> DataError:
    return DataError(
        f"{what}: {path} is corrupt ({problem}); delete it, and it is downloaded again, or put a "
        f"sound copy in its place"
    )

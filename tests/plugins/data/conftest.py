"""A data directory and a cache of its own for each test, and files as the real sets have them."""

from __future__ import annotations

import functools
import gzip
import http.server
import struct
import threading

import numpy as np
import pytest

from genbench import DataAccess


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Serve the folder ``mirror`` as GENBENCH_MIRROR. Proxies are left out."""
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def start(handler=Quiet):
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(handler, directory=tmp_path / "mirror")
        )
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        monkeypatch.setenv("GENBENCH_MIRROR", f"http://127.0.0.1:{server.server_port}/")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def access(tmp_path):
    return DataAccess(root=tmp_path / "root", cache=tmp_path / "cache", offline=True)


@pytest.fixture
def real_access(real_data, tmp_path):
    return DataAccess(root=real_data, cache=tmp_path / "cache", offline=True)


@pytest.fixture
def genbench(genbench):
    """Command lines as one text; gives the exit code and all that was said."""

    def call(command):
        code, out, err = genbench(*command.split())
        return code, out + err

    return call


@pytest.fixture
def idx_bytes():
    """An array of bytes in the IDX format."""

    def encode(values):
        values = np.asarray(values, np.uint8)
        header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
        return header + values.tobytes()

    return encode


@pytest.fixture
def mnist_like(idx_bytes):
    """A small set in torchvision's layout below a root: 40 training and 12 test images."""

    def write(root, folder="MNIST", *, gz=False):
        raw = root / folder / "raw"
        raw.mkdir(parents=True)
        random = np.random.RandomState(7)
        for part, n in (("train", 40), ("t10k", 12)):
            images, labels = random.randint(0, 256, (n, 28, 28)), np.arange(n) % 10
            for name, values in (("images-idx3", images), ("labels-idx1", labels)):
                content = idx_bytes(values)
                path = raw / f"{part}-{name}-ubyte{'.gz' if gz else ''}"
                path.write_bytes(gzip.compress(content, mtime=0) if gz else content)
        return raw

    return write

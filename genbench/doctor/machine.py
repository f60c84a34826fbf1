"""What a machine has and what is broken on it: the findings of ``genbench doctor``."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genbench.contracts import DataAccess
from genbench.doctor import leftovers
from genbench.doctor.devices import DeviceQuery, Devices
from genbench.errors import DataError, GenbenchError, PluginError
from genbench.formatting import counted
from genbench.registry import Registration, Registry

GROUPS = ("versions", "devices", "store", "data", "caches", "leftovers", "plugins")
"""The order of the report."""
PACKAGES = ("genbench", "torch", "torchvision", "torch-fidelity", "numpy", "scikit-learn")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report. ``ok`` None: it is absent, which is no fault; ``error``: a fault."""

    group: str
    name: str
    text: str
    ok: bool | None = True
    error: GenbenchError | None = None

    @property
    def mark(self) -> str:
        """The finding in one word."""
        return "broken" if self.error else "ok" if self.ok else "-"

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain values."""
        return {"group": self.group, "name": self.name, "status": self.mark, "text": self.text}


def examine(
    registry: Registry, access: DataAccess, store_url: str, *, data: bool = False
) -> list[Finding]:
    """All findings, in the order of the report. Nothing is downloaded, made or changed.

    ``data``: all decoded data in the cache are read and checked against their digests, too.
    """
    question = DeviceQuery()  # it is answered while everything else is examined
    findings = [
        *_versions(),
        _store(store_url),
        *_data(registry, access),
        _cache(access),
        *(_decoded(access) if data else ()),
        *_leftovers(access, store_url),
        *_plugins(registry),
        *_torch(question, registry),
    ]
    return sorted(findings, key=lambda finding: GROUPS.index(finding.group))


def _versions() -> Iterator[Finding]:
    system = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding(group="versions", name="python", text=system)
    for package in PACKAGES:
        try:
            yield Finding(group="versions", name=package, text=version(package))
        except PackageNotFoundError:
            error = GenbenchError(f"{package} is not installed; reinstall genbench with pip")
            yield Finding(group="versions", name=package, text=str(error), error=error)


def _torch(question: DeviceQuery, registry: Registry) -> Iterator[Finding]:
    """The devices, and the weights that torch keeps."""
    try:
        answer = question.answer()
    except GenbenchError as error:
        yield Finding(group="devices", name="torch", text=str(error), error=error)
        return
    yield from _devices(answer)
    if any(metric.name == "fid" for metric in registry.of("metric")):
        yield _inception(Path(answer.hub))


def _devices(answer: Devices) -> Iterator[Finding]:
    yield Finding(group="devices", name="cpu", text=counted(answer.threads, "thread"))
    for index, (name, memory) in enumerate(answer.gpus):
        text = f"{name}, {memory / 2**30:.0f} GiB"
        yield Finding(group="devices", name=f"cuda:{index}", text=text)
    if not answer.gpus:
        built = "" if answer.built_with_cuda else "; this PyTorch is built without CUDA"
        yield Finding(group="devices", name="cuda", text=f"none{built}", ok=None)
    if answer.mps:
        yield Finding(group="devices", name="mps", text="Apple GPU")


def _store(url: str) -> Finding:
    from genbench.store import Store
    from genbench.store.version import SCHEMA_VERSION

    if "://" not in url and not Path(url).exists():
        text = f"none at {url} yet; genbench run creates one"
        return Finding(group="store", name="store", text=text, ok=None)
    try:
        with Store.open(url, mode="read") as store:
            _, rows = store.query("select count(*) from runs")
            text = f"{store.url}, schema {SCHEMA_VERSION}, {counted(rows[0][0], 'run')}"
    except GenbenchError as error:
        return Finding(group="store", name="store", text=str(error), error=error)
    return Finding(group="store", name="store", text=text)


def _data(registry: Registry, access: DataAccess) -> Iterator[Finding]:
    there = access.root.is_dir()
    text = (
        str(access.root) if there else f"{access.root} does not exist (GENBENCH_DATA, --data-dir)"
    )
    yield Finding(group="data", name="folder", text=text, ok=there or None)
    for registration in registry.of("dataset"):
        yield _dataset(registry, registration, access)


def _dataset(registry: Registry, registration: Registration, access: DataAccess) -> Finding:
    """Whether a data set can be described with its default settings."""
    name = registration.name
    try:
        settings = registry.settings("dataset", name)
        if any(field.is_required() for field in settings.model_fields.values()):
            return Finding(group="data", name=name, text="needs settings", ok=None)
        spec = settings().describe(access)
        absent = settings().missing(access)
    except PluginError as error:
        return Finding(group="data", name=name, text=str(error), error=error)
    except GenbenchError as error:
        return Finding(group="data", name=name, text=str(error), ok=None)
    if absent:
        return Finding(group="data", name=name, text=absent, ok=None)
    shape = "x".join(map(str, spec.shape))
    return Finding(group="data", name=name, text=f"{shape}, {spec.train} + {spec.test} samples")


def _cache(access: DataAccess) -> Finding:
    files = [path for path in access.cache.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 2**20
    text = f"{access.cache}, {len(files)} files, {size:.1f} MiB"
    return Finding(group="caches", name="cache", text=text, ok=bool(files) or None)


def _leftovers(access: DataAccess, url: str) -> Iterator[Finding]:
    """What killed processes left; genbench doctor --clean removes it."""
    found = leftovers.find(url, access)
    for left in found:
        text = f"{left.what}; {size(left.bytes)}"
        yield Finding(group="leftovers", name=str(left.path), text=text, ok=None)
    total = sum(left.bytes for left in found)
    hint = f"{len(found)}, {size(total)}; genbench doctor --clean removes them"
    yield Finding(group="leftovers", name="all", text=hint if found else "none")


def size(count: int) -> str:
    """Bytes as a person reads them."""
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


def _decoded(access: DataAccess) -> Iterator[Finding]:
    from genbench.engine.data_check import decoded

    for entry, fault in decoded(access.cache):
        text = f"{entry} is damaged ({fault}); delete it, and it will be decoded again"
        error = DataError(text) if fault else None
        yield Finding(
            group="caches", name=entry.name, text=text if fault else "verified", error=error
        )


def _inception(hub: Path) -> Finding:
    """The Inception weights where torch-fidelity and torch hub keep them."""
    folder = hub / "checkpoints"
    name = _name_of_inception_weights()
    if name is None:
        text = "torch-fidelity is missing or has no URL of weights; pip install torch-fidelity"
        return Finding(group="caches", name="fid weights", text=text, ok=None)
    path = folder / name
    text = str(path) if path.is_file() else f"none at {path}; the first use of fid downloads them"
    return Finding(group="caches", name="fid weights", text=text, ok=path.is_file() or None)


def _name_of_inception_weights() -> str | None:
    """The file's name, from torch-fidelity's source: its import takes two seconds of CPU."""
    spec = find_spec("torch_fidelity")
    for folder in (spec and spec.submodule_search_locations) or ():
        source = Path(folder) / "feature_extractor_inceptionv3.py"
        text = source.read_text(encoding="utf-8") if source.is_file() else ""
        if url := re.search(r"^URL_INCEPTION_V3\s*=[\s(]*['\"]([^'\"]+)", text, re.MULTILINE):
            return Path(url[1]).name
    return None


def _plugins(registry: Registry) -> Iterator[Finding]:
    for plugin in registry.plugins:
        text = f"{plugin.owner}: {plugin.trouble or ', '.join(plugin.names)}"
        error = PluginError(f"plugin '{plugin.name}' ({text})") if plugin.error else None
        ok = None if plugin.trouble else True
        yield Finding(group="plugins", name=plugin.name, text=text, ok=ok, error=error)

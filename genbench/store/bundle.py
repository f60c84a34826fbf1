"""Runs in one zip file: written from one store, read into another, ids kept.

    manifest.json                     format, schema, runs with size and SHA-256 of each file
    runs/<id>/rows.json               the run's rows (`genbench.store.bundle_rows`)
    runs/<id>/files/...               its folder: checkpoints, pictures

A file from somebody else is hostile until it is read: nothing is unpickled, no name leads out of
the run's folder, sizes are bounded before anything is written, and every byte is held against its
digest. All runs of a file come into the store, in one transaction, or none does.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy import or_, select

from genbench import __version__
from genbench.errors import DataError, UsageError
from genbench.files.remote import visible_files
from genbench.files.writing import replacing
from genbench.store import lifecycle
from genbench.store.bundle_rows import check_rows, content, insert_rows, read_rows
from genbench.store.editing import MOST_OF_A_NOTE
from genbench.store.records import Status
from genbench.store.schema import runs
from genbench.store.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from genbench.store.store import Store

FORMAT = 1
MANIFEST = "manifest.json"
MOST_OF_A_MANIFEST, MOST_ROWS = 1 << 26, 1 << 30
"""Bytes of the manifest, and of the rows of one run, at most."""
MOST_RATIO, FREE = 200, 1 << 28
"""A file that unpacks to more than `FREE` bytes and this multiple of its size is refused."""
COMPRESSIONS = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)
CHUNK = 1 << 20
_RUN_ID = re.compile(r"[0-9a-f]{10}")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Ids of the new and of the known runs, and the names that were taken, by id."""

    new: tuple[str, ...]
    known: tuple[str, ...]
    unnamed: Mapping[str, str] = field(default_factory=dict)


def export_runs(store: Store, run_ids: Sequence[str], path: Path) -> int:
    """Write runs into a zip file, whole or not at all; return its size in bytes.

    Raises UsageError for a run that is still running.
    """
    for run_id in run_ids:
        if store.run(run_id).status is Status.RUNNING:
            raise UsageError(f"run {run_id} is still running; export it when it has ended")
    with replacing(path) as part:
        described = {}
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for run_id in run_ids:
                described[run_id] = _add_run(archive, store, run_id)
            manifest = {"format": FORMAT, "schema": SCHEMA_VERSION, "genbench": __version__}
            text = json.dumps({**manifest, "runs": described}, indent=1)
            archive.writestr(MANIFEST, text)
    return path.stat().st_size


def _add_run(archive: zipfile.ZipFile, store: Store, run_id: str) -> dict[str, Any]:
    rows = _rows(store, run_id)
    text = json.dumps(rows, ensure_ascii=False, allow_nan=False).encode()
    archive.writestr(f"runs/{run_id}/rows.json", text)
    described = {"rows": {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}}
    files, folder = {}, store.fetch(run_id)
    for file in visible_files(folder):
        name = file.relative_to(folder).as_posix()
        member = f"runs/{run_id}/files/{name}"
        with file.open("rb") as source, archive.open(member, "w", force_zip64=True) as target:
            files[name] = _copied(source, target)
    return {**described, "files": files}


def _rows(store: Store, run_id: str) -> dict[str, Any]:
    with store.transaction() as connection:
        rows = read_rows(connection, lifecycle.locked_number(connection, run_id))
    [head] = rows["runs"]
    if head["status"] in (Status.RUNNING.value, Status.QUEUED.value):  # its process is gone
        head["status"] = Status.INTERRUPTED.value
    return rows


# --- reading ----------------------------------------------------------------------------------


def import_runs(store: Store, path: Path) -> Imported:
    """Take the runs of a file into the store; a run that is there with equal content stays.

    A name that another run has is left out. Raises DataError for a file that is damaged or not
    one of ours, UsageError where a run of the same id has other content; nothing is changed then.
    """
    with _opened(path) as archive:
        manifest = _manifest(archive, path)
        staged: dict[str, dict[str, Any]] = {}
        try:
            for run_id, described in manifest["runs"].items():
                staged[run_id] = _stage(archive, store, run_id, described)
            return _take_in(store, staged)
        finally:
            for run_id in manifest["runs"]:
                shutil.rmtree(store.staging(run_id), ignore_errors=True)


def _take_in(store: Store, staged: Mapping[str, dict[str, Any]]) -> Imported:
    new, known, unnamed, moved = [], [], {}, []
    try:
        with store.transaction() as connection:
            for run_id, rows in staged.items():
                if _is_here(connection, store, run_id, rows):
                    known.append(run_id)
                    continue
                name = rows["runs"][0]["name"]
                if name and _is_taken(connection, name):
                    unnamed[run_id] = name
                    name = None
                insert_rows(connection, rows, name=name)
                store.move_in(run_id)
                moved.append(run_id)
                new.append(run_id)
    except BaseException:
        for run_id in moved:
            shutil.rmtree(store.folder(run_id), ignore_errors=True)
        raise
    return Imported(new=tuple(new), known=tuple(known), unnamed=unnamed)


def _is_taken(connection: Connection, name: str) -> bool:
    taken = select(runs.c.run).where(or_(runs.c.name == name, runs.c.id == name))
    return connection.execute(taken).first() is not None


def _is_here(connection: Connection, store: Store, run_id: str, rows: dict[str, Any]) -> bool:
    """Whether the run is in the store with equal content. Raises UsageError for another one."""
    number = connection.execute(select(runs.c.run).where(runs.c.id == run_id)).scalar()
    if number is None:
        if _is_taken(connection, run_id):
            raise UsageError(
                f"a run of this store has the name '{run_id}', the id of a run to import"
            )
        return False
    here = read_rows(connection, int(number))
    if here["runs"][0]["status"] == Status.RUNNING.value:
        here["runs"][0]["status"] = Status.INTERRUPTED.value
    if content(here, digests(store.fetch(run_id))) != content(rows, digests(store.staging(run_id))):
        raise UsageError(
            f"run {run_id} is already in this store with other content; nothing was imported",
            hint=f"To use the run in the file instead: genbench rm {run_id}",
        )
    return True


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a run's folder."""
    found = {}
    for path in visible_files(folder):
        with path.open("rb") as file:
            name = path.relative_to(folder).as_posix()
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _stage(
    archive: zipfile.ZipFile, store: Store, run_id: str, described: Mapping[str, Any]
) -> dict[str, Any]:
    """Unpack one run's files beside their place; return its rows."""
    text = b"".join(_verified(archive, f"runs/{run_id}/rows.json", described["rows"]))
    try:
        values = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the rows of run {run_id} are not JSON: {error}") from None
    rows = check_rows(values, run_id)
    for artifact in rows["artifacts"]:
        _check_path(artifact["path"])
    _check_words(rows)
    _check_folder(store, run_id)
    folder = store.staging(run_id)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, entry in described["files"].items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for chunk in _verified(archive, f"runs/{run_id}/files/{name}", entry):
                file.write(chunk)
    return rows


def _check_words(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Raise UsageError for a name, a note or a tag that this store would not take from a user."""
    [head] = rows["runs"]
    if head["name"] is not None:
        lifecycle.check_form(head["name"])
    lifecycle.check_text(head["note"] or "", "a note", MOST_OF_A_NOTE)
    for row in rows["run_tags"]:
        lifecycle.check_text(row["tag"], "a tag")


def _check_folder(store: Store, run_id: str) -> None:
    """Put back the folder of a removal that was interrupted; nobody else's folder is replaced."""
    if store.rows("SELECT 1 FROM runs WHERE id = :id", {"id": run_id}):
        store.restore_folder(run_id)
    elif store.folder(run_id).exists():
        raise UsageError(
            f"{store.folder(run_id)} already exists, perhaps for another store in that folder; "
            "import into a store in another folder"
        )


def _verified(archive: zipfile.ZipFile, name: str, entry: Mapping[str, Any]) -> Iterator[bytes]:
    """The chunks of a member, never more than was announced; DataError unless the digest fits."""
    digest, left = hashlib.sha256(), int(entry["bytes"])
    with archive.open(name) as source:
        while chunk := source.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            yield chunk
    if left or digest.hexdigest() != entry["sha256"]:
        raise DataError(f"{name} doesn't match the manifest")


def _copied(source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        target.write(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip file; what is wrong with it becomes one sentence with its name."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DataError as error:
        raise DataError(f"{path} can't be imported: {error}") from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError) as error:
        raise DataError(f"{path} is not a zip file, or is damaged: {error}") from error
    except RuntimeError as error:  # an encrypted member
        raise DataError(f"{path} can't be imported: {error}") from error
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error
    except zlib.error as error:
        raise DataError(f"{path} is damaged: {error}") from error


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    """The manifest, with every name, size and member checked. Raises DataError."""
    infos = {info.filename: info for info in archive.infolist()}
    if MANIFEST not in infos:
        raise DataError("it has no manifest.json, so it is not from genbench export")
    if any(info.compress_type not in COMPRESSIONS for info in infos.values()):
        raise DataError("its members are compressed in a way that genbench export doesn't use")
    if infos[MANIFEST].file_size > MOST_OF_A_MANIFEST:
        raise DataError("its manifest is too large")
    with archive.open(MANIFEST) as file:
        text = file.read(MOST_OF_A_MANIFEST + 1)
    try:
        manifest: dict[str, Any] = json.loads(text, parse_constant=_no_constant)
        later = max(int(manifest["format"]) - FORMAT, int(manifest["schema"]) - SCHEMA_VERSION)
        members = {MANIFEST: len(text), **dict(_members(manifest["runs"]))}
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"its manifest can't be read ({type(error).__name__})") from None
    if later > 0:
        raise DataError(f"it was written by genbench {manifest.get('genbench')}; update genbench")
    if set(infos) != set(members) or len(infos) != len(archive.infolist()):
        raise DataError("its members don't match its manifest")
    total = sum(members.values())
    if total > max(FREE, MOST_RATIO * path.stat().st_size):
        raise DataError(
            f"it would unpack to {total:,} bytes, more than {MOST_RATIO} times its size"
        )
    return manifest


def _members(described: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for run_id, run in described.items():
        if not _RUN_ID.fullmatch(run_id):
            raise DataError(f"'{run_id[:40]}' is not the id of a run")
        yield f"runs/{run_id}/rows.json", _size(run["rows"], MOST_ROWS)
        for name, entry in run["files"].items():
            _check_path(name)
            yield f"runs/{run_id}/files/{name}", _size(entry, 2**62)


def _size(entry: Mapping[str, Any], most: int) -> int:
    size = entry["bytes"]
    if type(size) is not int or not 0 <= size <= most or not isinstance(entry["sha256"], str):
        raise DataError("a size in its manifest is out of bounds")
    return size


def _check_path(name: str) -> None:
    """Raise DataError unless a name stays within the folder of its run, on any system."""
    parts = PurePosixPath(name).parts
    wrong = (
        not parts
        or PurePosixPath(*parts).as_posix() != name
        or any(part.startswith(".") or part != part.strip() or len(part) > 200 for part in parts)
        or re.search(r'[\\:*?"<>|\x00-\x1f]', name) is not None
        or name.startswith("/")
    )
    if wrong:
        raise DataError(f"the path {name[:60]!r} is not one of a run's folder")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")

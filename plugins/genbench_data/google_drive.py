"""Downloads from Google Drive, through torchvision and the package gdown: complete or absent.

Google Drive asks for confirmation of large downloads, which gdown handles, and limits the number of
downloads per file; after that, only waiting helps.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten

from genbench_data.download import Archive, DownloadError, unwritable


def download_from_drive(archive: Archive, folder: Path) -> Path:
    """Download a file, with ids of Google Drive as ``urls``, to a folder and return its path.

    gdown itself shows the progress. Raises DownloadError if gdown is not installed, or if Drive
    doesn't return the file with the right MD5; DataError if the folder can't be written.
    """
    if find_spec("gdown") is None:
        raise DownloadError(
            "it is on Google Drive, which needs the package gdown: pip install gdown"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".drive-", dir=folder) as part:
            _fetch(archive, Path(part))
            return (Path(part) / archive.name).replace(folder / archive.name)
    except OSError as error:
        raise unwritable(archive, folder, error) from error


def _fetch(archive: Archive, part: Path) -> None:
    from torchvision.datasets.utils import download_file_from_google_drive

    problems = []
    for file_id in archive.urls:
        try:
            download_file_from_google_drive(file_id, part, archive.name, archive.md5)
            return
        except Exception as error:  # gdown's, requests' and torchvision's have no common root
            problems.append(_sentence(error))
    raise DownloadError(f"{archive.name}: {'; '.join(problems)}")


def _sentence(error: Exception) -> str:
    """The error in one line; gdown's messages may have several."""
    text = shorten(str(error) or type(error).__name__, 200, placeholder=" ...")
    return f"Google Drive did not return the file with the right MD5: {text}"

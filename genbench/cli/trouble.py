"""Any error as one sentence with an exit code, also those of the system, Python and PyTorch.

What genbench raises on purpose is a sentence already. The rest comes from three places: the
machine (files, memory, numbers beyond 64 bits, text that is not UTF-8), a store with values that
genbench never wrote, and a bug of genbench or of a plugin, which is called one.
"""

from __future__ import annotations

import errno

from genbench.errors import (
    DiskFullError,
    GenbenchError,
    InterruptedRunError,
    UsageError,
    is_out_of_memory,
)


def in_words(error: BaseException) -> GenbenchError:
    """The error to print: ``error`` itself if it is a GenbenchError."""
    if isinstance(error, GenbenchError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return InterruptedRunError("interrupted")
    return _of_machine(error) or _of_store() or _fault(error)


def _of_machine(error: BaseException) -> GenbenchError | None:
    if is_out_of_memory(error):
        return GenbenchError(
            f"this needs more memory than there is ({_brief(error)}); try a smaller model, a "
            "smaller --batch-size or fewer --samples"
        )
    if isinstance(error, UnicodeError):
        return UsageError(f"a text is not valid UTF-8: {_text_of(error)}")
    if isinstance(error, OverflowError):
        return UsageError(f"a number is too large ({_brief(error)}); give one that fits in 64 bits")
    if isinstance(error, RecursionError):
        return UsageError(f"a given value is nested too deeply ({_brief(error)})")
    if isinstance(error, OSError):
        return _of_files(error)
    return None


def _of_files(error: OSError) -> GenbenchError:
    name = error.filename if isinstance(error.filename, (str, bytes)) else None
    where = repr(name) if name else "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            f"no space is left on the disk (writing {where}); free some space first"
        )
    return UsageError(f"{where} can't be used: {error.strerror or _brief(error)}")


def _of_store() -> GenbenchError | None:
    """What is wrong with the values of the store that the command opened, if anything is."""
    from genbench.cli.session import SESSION

    if SESSION.opened is None:
        return None
    from genbench.store.damage import damage

    return damage(SESSION.opened)


def _fault(error: BaseException) -> GenbenchError:
    return GenbenchError(
        f"unexpected {type(error).__name__}: {_brief(error)} "
        "(this is a bug of genbench or of a plugin; --debug shows where)"
    )


def _brief(error: BaseException) -> str:
    """The first line of what the error says, or its type."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _text_of(error: UnicodeError) -> str:
    text = getattr(error, "object", None)
    return repr(text)[:100] if text is not None else _brief(error)

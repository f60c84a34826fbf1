"""The start of ``genbench`` and of ``python -m genbench``."""

import _signal as signal  # type: ignore[import-not-found]  # it is built in: no file to wait for

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until `main` takes the signal over, Ctrl-C ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from genbench.cli import main

if __name__ == "__main__":
    main()

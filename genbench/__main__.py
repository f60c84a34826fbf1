"""The start of ``genbench`` and of ``python -m genbench``."""

import _signal  # built in: Python's own signal module takes milliseconds to import

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    # Until `main` takes the signal over, Ctrl-C ends the process without a traceback.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from genbench.cli import main

if __name__ == "__main__":
    main()

"""`batchd ...` that ends when its parent does: `python -m batchd.cli.demo_child PARENT ...`.

Not even kill -9 of the demo may leave a daemon behind. Linux's PR_SET_PDEATHSIG was considered:
it needs ctypes or a preexec_fn, and macOS has nothing like it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from batchd.cli import main

LOOK_SECONDS = 0.5


def watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    parent = int(sys.argv.pop(1))
    threading.Thread(target=watch, args=(parent,), name="watch the demo", daemon=True).start()
    main()

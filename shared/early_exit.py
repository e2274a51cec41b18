"""Exit on SIGTERM while a process starts.

Import and call before imports that take time. A process that is PID 1 has no default action for
SIGTERM, so without a handler the signal would be lost, and the process killed after its grace
period. The standard library only, and little of it.
"""

import os
import signal


def exit_on_sigterm() -> None:
    """Exit with code 0 on SIGTERM, until another handler is set: nothing has begun yet."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

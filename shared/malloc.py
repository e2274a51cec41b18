"""What processes keep: freed memory for what comes next, and what they have for good.

The C library gives large blocks back to the system at once, and each chunk of a CSV then has the
same pages cleared and mapped anew: a tenth of a worker's time, and a sixth of the API's.
"""

import ctypes
import gc
from typing import Final

# <malloc.h>; the second is the most that can be set.
_TRIM_THRESHOLD: Final = -1, 64 * 1024 * 1024
_MMAP_THRESHOLD: Final = -3, 32 * 1024 * 1024


def keep_freed_memory() -> None:
    """Have this process and its children keep up to 64 MiB of freed memory (glibc only)."""
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        for option, size in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            tune(option, size)


def return_freed_memory() -> None:
    """Return to the system what this process keeps of freed memory (glibc only)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def freeze_objects() -> None:
    """Have the collector of cycles pass over everything that exists now.

    It need not look at it again and again, and the pages stay shared with processes forked later.
    """
    gc.collect()
    gc.freeze()

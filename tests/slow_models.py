"""Classifiers that are hard to load, for workers to import: slow ones, and ones that kill."""

import os
import signal
import time
from typing import Any, Final

from sklearn.linear_model import LogisticRegression

SECONDS: Final = "DRYBEANS_TEST_LOAD_SECONDS"
DEADLY: Final = "DRYBEANS_TEST_LOAD_KILLS"


class SlowModel(LogisticRegression):  # type: ignore[misc] # scikit-learn has no types
    """Takes as long to load as the environment says, or kills the process that loads it."""

    def __setstate__(self, state: Any) -> None:
        if os.environ.get(DEADLY):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(os.environ.get(SECONDS, "0")))
        super().__setstate__(state)

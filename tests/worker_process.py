"""A worker as a process of its own, with its log."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import psutil

from tests.waiting import wait_for

_ROOT: Final = Path(__file__).parent.parent
_STOP_SECONDS: Final = 120.0


class WorkerProcess:
    """`python -m worker.main` with `settings` (DRYBEANS_…); a context manager that ends it."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.log = folder / "worker.log"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRYBEANS_", "MYSQL_"))}
        own = {"DRYBEANS_WORKERS": "1", "DRYBEANS_MODEL_ROOT": str(_ROOT / "model_artifacts")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", "worker.main"],
                env=kept | own | dict(settings),
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def said(self) -> str:
        """Return all that it has logged."""
        return self.log.read_text(errors="replace")

    def wait_until_it_says(self, words: str) -> None:
        """Wait for `words` in its log, and for no longer than it lives."""
        wait_for(lambda: words in self.said() or self.process.poll() is not None, 300, every=0.1)
        assert words in self.said(), self.said()[-5000:]

    def stop(self) -> int:
        """Tell it to stop, as a deployment does, and return its exit code."""
        self.process.terminate()
        return self.process.wait(_STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            main = psutil.Process(self.process.pid)
            for process in [main, *main.children(recursive=True)]:
                process.kill()
            self.process.wait()

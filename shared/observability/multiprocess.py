"""How the processes of one part count together, and how they are read."""

import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server, values
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
# The library knows its folder by this name only.
_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


class ProcessSlots:
    """A folder in which processes count together, each in the files of its slot.

    A process that takes the place of one that ended goes on where that one was: counters never fall
    and files do not pile up, however many processes come and go.
    """

    def __init__(self) -> None:
        """Make the folder."""
        self.folder = Path(tempfile.mkdtemp(prefix="drybeans-metrics-"))

    def take(self, slot: int) -> None:
        """Count in `slot` from now on: right after the fork, before any metric is made."""
        os.environ[_FOLDER] = str(self.folder)
        self.leave(slot)
        # Chosen by the library when it is imported; the documented way to choose otherwise.
        values.ValueClass = values.MultiProcessValue(lambda: slot)

    def leave(self, slot: int) -> None:
        """Forget the gauges of a process that ended; what it counted stays."""
        mark_process_dead(slot, str(self.folder))

    def counted(self) -> Collector:
        """Return what all slots have counted, at each look anew."""
        return MultiProcessCollector(None, str(self.folder))

    def close(self) -> None:
        """Erase the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def aggregate_metrics(own: Collector) -> Collector:
    """Return what the processes with which this one counts have counted, or only its `own`."""
    folder = os.environ.get(_FOLDER)
    return MultiProcessCollector(None, folder) if folder else own


def exposition(*collectors: Collector) -> bytes:
    """Write what `collectors` know in Prometheus' text format."""
    return generate_latest(_together(collectors))


def serve(host: str, port: int, *collectors: Collector) -> None:
    """Answer `GET /metrics` on `port` from a thread.

    A port that is taken is told in the log, and keeps nobody from working.
    """
    try:
        start_http_server(port, host, _together(collectors))
    except OSError as error:
        log.error(  # noqa: TRY400 - the reason says it all
            "metrics_not_served", extra={"port": port, "reason": str(error)}
        )


def _together(collectors: tuple[Collector, ...]) -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return registry

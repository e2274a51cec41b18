"""An operator finds from the dashboard alone which worker a fault has killed."""

import json
import random
import socket
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from tests.chaos.beans import Beans
from tests.chaos.clients import Client, Record
from tests.chaos.faults import FAULTS, Strike
from tests.chaos.stage import a_stage
from tests.servers import MariaDBServer, ServerMissing
from tests.servers.prometheus import PrometheusServer
from tests.waiting import wait_for

_DASHBOARD: Final = Path(__file__).parents[2] / "docs/monitoring/dashboard.json"
_FIRING: Final = 'ALERTS{alertname="DrybeansWorkerDied", alertstate="firing"}'


def question(title: str) -> str:
    """Return what the dashboard's panel of that title asks."""
    panels: list[dict[str, Any]] = json.loads(_DASHBOARD.read_text())["panels"]
    (found,) = (p["targets"][0]["expr"] for p in panels if p["title"].startswith(title))
    return str(found)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_dashboard_names_the_worker_that_a_fault_killed(
    mortal: MariaDBServer, folder: Path, beans: Beans
) -> None:
    """By host and process, as its log and Flower do, though another has taken its place."""
    try:
        PrometheusServer(folder).command()
    except ServerMissing as error:
        pytest.skip(f"NOT TESTED: the dashboard on a real Prometheus: {error}")
    with (
        a_stage(mortal, folder) as stage,
        PrometheusServer(folder / "prometheus", urlsplit(stage.url).netloc) as prometheus,
    ):
        before = {part: part.pid for part in stage.workers}
        client = Client(0, stage.url, beans, Record(), 1)
        FAULTS["worker killed"](Strike(stage, random.Random(1), client))
        wait_for(lambda: any(part.pid != before[part] for part in before))
        (pid,) = (before[part] for part in before if part.pid != before[part])
        died = f"worker-{pid}@{socket.gethostname()}"

        def silent() -> dict[str, float]:
            told = prometheus.ask(question("Which worker died"))
            return {labels["worker"]: seconds for labels, seconds in told if seconds > 20}

        wait_for(lambda: len(silent()) == 1, every=0.5)
        assert silent().keys() == {died}
        wait_for(lambda: bool(prometheus.ask(_FIRING)), every=0.5)
        assert [labels["worker"] for labels, _ in prometheus.ask(_FIRING)] == [died]
        ((_, alive),) = prometheus.ask(question("Workers alive"))
        assert alive == len(before)

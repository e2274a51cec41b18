"""A real Prometheus, where one is installed: it scrapes, answers queries and judges alerts."""

from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from tests.servers.process import Server, find_program

_RULES: Final = Path(__file__).parents[2] / "docs/monitoring/alerts.yml"


class PrometheusServer(Server):
    """A Prometheus with our alerts, which scrapes the API at `target` every second."""

    name = "prometheus"

    def __init__(self, folder: Path, target: str = "") -> None:
        super().__init__(folder)
        self._target = target

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Return the command, which writes nothing outside of its folder."""
        return [
            *(find_program("prometheus"), "--config.file=prometheus.yml"),
            *(f"--web.listen-address=127.0.0.1:{self.port}", "--storage.tsdb.path=data"),
        ]

    def prepare(self) -> None:
        """Write what it is to scrape."""
        jobs = [{"job_name": "drybeans", "static_configs": [{"targets": [self._target]}]}]
        every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        told = {"global": every, "rule_files": [str(_RULES)], "scrape_configs": jobs}
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(told))

    def answers(self) -> bool:
        """Return whether it is ready."""
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def ask(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return the labels and the number of each series that `expression` finds now."""
        asked = {"query": expression}
        answer = httpx.get(f"{self.url}/api/v1/query", params=asked, timeout=600, trust_env=False)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

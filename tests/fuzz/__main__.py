"""The long form: `python -m tests.fuzz --requests 50000 --seed 1`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.run import Fuzz, Report
from tests.fuzz.stage import guarded_service, memory_of_api

_MIB = 1024 * 1024


def main() -> None:
    """Fuzz with a key and, for a tenth of the requests, without one; tell what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="drybeans-fuzz-") as folder,
        guarded_service(Path(folder)) as (service, key),
    ):
        print(f"seed {asked.seed}", flush=True)
        reports = [Fuzz(service.url).run(asked.requests // 10, asked.seed)]
        with_key = Fuzz(service.url, key)
        before = 0
        for part in range(1, 11):
            reports[1:] = [
                with_key.run(asked.requests * 9 * part // 100, asked.seed + part * 10_000)
            ]
            held = memory_of_api(service)
            before = before or held
            sent = sum(report.sent for report in reports)
            print(f"{sent:>7} requests, API {held / _MIB:.1f} MiB", flush=True)
        with service.client() as client:
            healthy = client.get("/readyz").json()
    for report in reports:
        _show(report)
    print(f"{time.monotonic() - began:.0f} s; afterwards {healthy}")
    sys.exit(1 if any(report.failures for report in reports) else 0)


def _show(report: Report) -> None:
    print(f"{report.sent} requests: {dict(sorted(report.statuses.items()))}")
    for name, told in report.failures.items():
        print(f"FAILED {name}\n{told}\n")


if __name__ == "__main__":
    main()

"""`python -m shared.embedded`: what `make up` and `make demo` run."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the one place that tells those who have an older one
    raise SystemExit("drybeans needs Python 3.11 or newer; this is " + sys.version.split()[0])

import argparse
import os
from pathlib import Path

from shared.embedded.demo import demo
from shared.embedded.launch import launch

_ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m shared.embedded", description=__doc__)
    parser.add_argument("action", nargs="?", default="up", choices=("up", "demo"))
    parser.add_argument(
        "--var", type=Path, default=_ROOT / "var", help="the folder for database and lock file"
    )
    arguments = parser.parse_args()
    var: Path = arguments.var.resolve()
    # The model folder and gunicorn's settings are named from here.
    os.chdir(_ROOT)
    if arguments.action == "demo":
        port = os.environ.get("PORT") or "5000"
        return demo(os.environ.get("DRYBEANS_URL") or f"http://127.0.0.1:{port}")
    return launch(var)


if __name__ == "__main__":
    raise SystemExit(main())

"""`make bench`: a short run of every measurement; each module alone does more.

python -m bench [--rows 200000]
"""

import argparse
import subprocess
import sys

from bench.parts import ROOT

_SHORT = {
    "bench.bulk": ("--rounds", "1"),
    "bench.jobs": ("--seconds", "4", "--rounds", "1"),
    "bench.capacity": ("--seconds", "4"),
    "bench.inference": (),
}


def main() -> None:
    """Run one after another, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", default="200000", help="of the large CSV")
    options = parser.parse_args()
    for module, words in _SHORT.items():
        print(f"\n## {module}\n", flush=True)
        more = ("--rows", options.rows) if module == "bench.bulk" else ()
        subprocess.run([sys.executable, "-m", module, *words, *more], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()

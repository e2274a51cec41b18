"""Holds the pinned packages against known advisories; skips where none can be read, as offline."""

import json
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parent
_SETS = ("api", "worker", "up", "dev")
_ANSWER_SECONDS = "8"
_MOST_SECONDS = 90


def _audit() -> str:
    files = [word for name in _SETS for word in ("-r", str(_FOLDER / f"{name}.txt"))]
    options = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "-f", "json"]
    command = [sys.executable, "-m", "pip_audit", *options, "--timeout", _ANSWER_SECONDS, *files]
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, text=True, timeout=_MOST_SECONDS
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def main() -> int:
    """Return 1 when an advisory names a pinned package, else 0."""
    try:
        packages = json.loads(_audit())["dependencies"]
    except ValueError:
        packages = []
    # An index that does not know a package says nothing about it; that is no clean bill.
    audited = [each for each in packages if "skip_reason" not in each]
    if not audited:
        print("audit: SKIPPED: no index of advisories can be read from here")
        return 0
    found = [(each, known) for each in audited for known in each["vulns"]]
    for each, known in found:
        mended = ", ".join(known["fix_versions"]) or "no version yet"
        print(f"audit: {each['name']} {each['version']}: {known['id']}, mended in {mended}")
    unknown = len(packages) - len(audited)
    print(f"audit: {len(audited)} packages, {len(found)} advisories, {unknown} not looked up")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

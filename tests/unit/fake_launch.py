"""A program for test_embedded.py: runs the fake parts, with the grace, that it is given."""

import ast
import sys

from shared.embedded.failure import LaunchFailed
from shared.embedded.launch import run
from shared.embedded.supervisor import Part


def main() -> None:
    """Run until a signal comes or a part dies."""
    table = [
        Part(name=name, command=(sys.executable, "-uc", code), once=name == "once", last=last)
        for name, code, last in ast.literal_eval(sys.argv[1])
    ]
    try:
        run(table, "all started", grace=float(sys.argv[2]))
    except LaunchFailed as error:
        raise SystemExit(f"failed: {error}") from None


if __name__ == "__main__":
    main()

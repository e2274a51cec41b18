"""Check a heartbeat file: `python -m shared.alive FILE [SECONDS]`, the name that probes use."""

import sys

from shared.observability.heartbeat_file import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

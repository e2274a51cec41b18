"""Servers of tests end with the process that started them, however it ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest

_ROOT: Final = Path(__file__).parents[2]
# A Redis as tests start it, and a part of the fault suite that ignores SIGTERM and has a child.
_STARTS: Final = """
import os, sys, time
from pathlib import Path
from tests.chaos.parts import Part
from tests.servers import RedisServer

folder = Path(sys.argv[1])
stubborn = '''
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(36000)"])
print("child", child.pid, flush=True)
time.sleep(36000)
'''
redis = RedisServer(folder / "redis")
redis.start()
part = Part("part", [sys.executable, "-c", stubborn], dict(os.environ), folder)
part.start()
part.await_word("child", 3600)
redis.freeze()
child = (folder / "part.log").read_text().split()[1]
print(redis.pid, part.pid, child, flush=True)
time.sleep(36000)
"""


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that starts servers."""
    command = [sys.executable, "-c", _STARTS, str(tmp_path)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_servers_end_with_the_process_that_started_them(
    starter: subprocess.Popen[str], end: signal.Signals
) -> None:
    """Also when it has no time to stop them, and when they are frozen or ignore SIGTERM."""
    assert starter.stdout is not None
    servers = [psutil.Process(int(pid)) for pid in starter.stdout.readline().split()]
    assert len(servers) == 3
    assert all(server.is_running() for server in servers)

    starter.send_signal(end)
    starter.wait()

    deadline = time.monotonic() + 3600
    while any(_lives(server) for server in servers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

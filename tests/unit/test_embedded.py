"""What `make up` promises about its parts, on small fake ones."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Launch = Callable[..., subprocess.Popen[str]]

_SLEEPS = "print('here'); import time; time.sleep(36000)"
# Tells when it has been asked to stop, and stops.
_POLITE = """
import signal, sys, time
def stop(*_):
    print('asked to stop')
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print('here')
time.sleep(36000)
"""
_TALKS = """
while True:
    print('still here')
    time.sleep(0.05)
"""
_DIES_AT = """
import pathlib, time
while not pathlib.Path('{flag}').exists():
    time.sleep(0.02)
exit(3)
"""
# Neither it nor its child hears SIGTERM.
_STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(36000)'])
print('child', child.pid)
time.sleep(36000)
"""


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Start a launcher of fake parts; it is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*parts: tuple[str, str], last: str = "", grace: float = 1) -> subprocess.Popen[str]:
        table = repr([(name, code, name == last) for name, code in parts])
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.fake_launch", table, str(grace)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _read_until(process: subprocess.Popen[str], *words: str) -> str:
    """Read lines until each of `words` has been seen; return them all."""
    seen = ""
    assert process.stdout is not None
    while not all(word in seen for word in words):
        line = process.stdout.readline()
        assert line, f"the launcher ended after: {seen}"
        seen += line
    return seen


def _pid_after(word: str, text: str) -> int:
    return int(text.partition(f"{word} ")[2].split()[0])


def _is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 3600
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            # A zombie still has its pid; it is gone all the same.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_each_line_carries_the_name_of_its_part(launch: Launch) -> None:
    """Lines of several parts can be told apart, also one that does not end."""
    launcher = launch(("once", "print('there', end='')"), ("one", _SLEEPS))

    _read_until(launcher, "once    | there\n", "one     | here\n")


def test_a_part_that_dies_is_named_and_ends_the_others(launch: Launch, tmp_path: Path) -> None:
    """A service without one of its parts must not look alive."""
    flag = tmp_path / "die"
    launcher = launch(("one", _POLITE), ("two", _DIES_AT.format(flag=flag)))
    _read_until(launcher, "one     | here")

    flag.touch()

    out, err = launcher.communicate()

    assert launcher.returncode == 1
    assert "failed: two ended with code 3" in err
    assert "one     | asked to stop" in out


def test_a_part_that_was_killed_is_said_to_be(launch: Launch) -> None:
    """Out of memory looks different from a mistake of ours."""
    code = "import os, time; time.sleep(0.2); os.kill(os.getpid(), 9)"
    launcher = launch(("one", code))

    _, err = launcher.communicate()

    assert "failed: one was ended by SIGKILL" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_part_in_good_order(launch: Launch, number: signal.Signals) -> None:
    """Ctrl-C, `kill` and a closed terminal are the wish of a person, not a failure."""
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("these tests run under nohup, whose word the launcher keeps")
    launcher = launch(("one", _POLITE), ("two", _POLITE))
    _read_until(launcher, "one     | here", "two     | here", "all started")

    launcher.send_signal(number)
    out, err = launcher.communicate()

    assert launcher.returncode == 0
    assert "one     | asked to stop" in out
    assert "two     | asked to stop" in out
    assert not err


def test_the_part_that_others_need_is_stopped_after_them(launch: Launch) -> None:
    """Redis goes last, or the worker's last words would be errors."""
    launcher = launch(("redis", _POLITE), ("slow", _POLITE), last="redis")
    _read_until(launcher, "redis   | here", "slow    | here")

    launcher.terminate()
    out, _ = launcher.communicate()

    assert out.index("slow    | asked") < out.index("redis   | asked")


def test_a_part_that_does_not_stop_is_killed_with_its_children(launch: Launch) -> None:
    """Nothing is left behind that holds the port or the database."""
    launcher = launch(("one", _STUBBORN))
    child = _pid_after("child", _read_until(launcher, "child"))

    launcher.terminate()
    out, _ = launcher.communicate()

    assert "one     | did not stop in 1 s and is killed" in out
    assert _is_gone(child)


def test_a_second_signal_does_not_wait_for_the_grace(launch: Launch) -> None:
    """A person who presses Ctrl-C twice means it."""
    launcher = launch(("one", _STUBBORN), grace=36000)
    _read_until(launcher, "child")

    launcher.send_signal(signal.SIGINT)
    _read_until(launcher, "drybeans: stopping")
    launcher.send_signal(signal.SIGINT)
    launcher.communicate()


def test_what_runs_once_must_end_well_before_the_next_starts(launch: Launch) -> None:
    """No API on a database that could not be migrated."""
    launcher = launch(("once", "print('no'); exit(1)"), ("next", _SLEEPS))

    out, err = launcher.communicate()

    assert "failed: once ended with code 1" in err
    assert "next" not in out


def test_what_runs_once_and_ends_well_is_no_death(launch: Launch) -> None:
    """The rest goes on without it."""
    launcher = launch(("once", "print('done')"), ("next", _SLEEPS))

    _read_until(launcher, "once    | done", "all started", "next    | here")
    launcher.terminate()
    launcher.communicate()

    assert launcher.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_the_parts_do_not_outlive_a_killed_launcher(launch: Launch) -> None:
    """After `kill -9` the next `make up` finds its port free."""
    launcher = launch(("one", "import os; print('pid', os.getpid()); " + _SLEEPS))
    part = _pid_after("pid", _read_until(launcher, "pid"))

    launcher.kill()

    assert _is_gone(part)


def test_parts_are_stopped_when_nobody_reads_their_lines_any_more(launch: Launch) -> None:
    """`make up | head` must not leave a service behind."""
    launcher = launch(("one", "import os, time; print('pid', os.getpid())\n" + _TALKS))
    part = _pid_after("pid", _read_until(launcher, "pid"))
    assert launcher.stdout is not None

    launcher.stdout.close()
    assert launcher.stderr is not None
    err = launcher.stderr.read()

    assert _is_gone(part)
    assert "Traceback" not in err

"""`python -m tests.chaos`: strike the running parts with faults and count what was lost."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.chaos.beans import some_beans
from tests.chaos.faults import FAULTS, Target, of_target
from tests.chaos.mutants import MUTANTS
from tests.chaos.run import Plan, Report, mutant_plan, run
from tests.chaos.table import heading, line, summary
from tests.servers import MariaDBServer, MySQLServer

_SHOWN: Final = 20


def main() -> int:
    """Run what the command line asks for; give 1 when anything is wrong."""
    arguments = _parser().parse_args()
    if arguments.list:
        print("\n".join(f"{fault.target:10}{name}" for name, fault in FAULTS.items()))
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        # Leave in good order: servers and parts are stopped on the way out.
        signal.signal(number, lambda *_: sys.exit(2))
    with _server(arguments.database) as server:
        print(f"database: {server.name}; faults: {len(FAULTS)}", flush=True)
        beans = some_beans()
        print(heading(), flush=True)
        reports = []
        for plan in _plans(arguments):
            report = run(plan, server, beans)
            reports.append(report)
            print(line(report), flush=True)
            for told in report.verdict.violations[:_SHOWN]:
                print(f"      {told}", flush=True)
            _tidy(report, keep=arguments.keep)
    print(summary(reports))
    return int(any(_failed(report) for report in reports))


def _failed(report: Report) -> bool:
    # A mutant must show in its own way; all else must not be guilty of anything.
    guilty_of = report.verdict.guilty_of
    mutant = report.plan.mutant
    return not guilty_of & MUTANTS[mutant].shows if mutant else bool(guilty_of)


def _tidy(report: Report, *, keep: bool) -> None:
    if report.logs is None:
        return
    if keep or _failed(report):
        print(f"      logs: {report.logs}", flush=True)
    else:
        shutil.rmtree(report.logs, ignore_errors=True)


def _plans(arguments: argparse.Namespace) -> Iterator[Plan]:
    names = list(MUTANTS) if arguments.mutants else arguments.mutant
    for name in names:
        yield mutant_plan(name, arguments.first_seed)
    if names and not arguments.seeds:
        return
    faults = _faults(arguments)
    for seed in range(arguments.first_seed, arguments.first_seed + (arguments.seeds or 3)):
        yield Plan(
            seed=seed,
            seconds=arguments.seconds,
            clients=arguments.clients,
            poison=arguments.poison,
            hold=arguments.hold,
            faults=faults,
        )


def _faults(arguments: argparse.Namespace) -> list[str]:
    """Return the faults that are asked for, without those that this machine cannot have."""
    groups = [name for target in arguments.target for name in of_target(Target(target))]
    wanted = [*arguments.fault, *groups] or list(FAULTS)
    for name in wanted:
        if not FAULTS[name].requires():
            print(f"NOT TESTED: {name}: what it needs is not installed", flush=True)
    return [name for name in wanted if FAULTS[name].requires()]


@contextmanager
def _server(kind: str) -> Iterator[MariaDBServer | MySQLServer]:
    """Start a database server of our own, which can be killed."""
    tool = os.environ.get("DRYBEANS_TEST_MYSQL_TOOL")
    if kind == "mysql" or (kind == "auto" and tool):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        mysql = MySQLServer(cache / "drybeans-chaos-mysql", Path(tool or "mysql-server"))
        mysql.start()
        try:
            yield mysql
        finally:
            mysql.stop()
        return
    with (
        tempfile.TemporaryDirectory(prefix="drybeans-chaos-") as folder,
        MariaDBServer(Path(folder), durable=True) as mariadb,
    ):
        yield mariadb


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    add = parser.add_argument
    add("--seeds", type=int, default=0, help="how many seeds to run (default 3)")
    add("--first-seed", type=int, default=1, help="the first of them")
    add("--seconds", type=float, default=60, help="how long faults strike, for each seed")
    add("--database", choices=["auto", "mysql", "mariadb"], default="auto")
    add("--clients", type=int, default=6, help="how many clients send jobs without pause")
    add("--poison", type=int, default=2, help="how many of them send a row that kills its worker")
    add("--hold", type=float, help="the longest that one fault lasts, in seconds")
    add("--fault", action="append", default=[], choices=list(FAULTS), help="only this (repeatable)")
    add("--target", action="append", default=[], choices=list(Target), help="only this group")
    add("--list", action="store_true", help="list the faults and do nothing")
    add("--keep", action="store_true", help="keep the logs of runs that went well, too")
    add("--mutant", action="append", default=[], choices=list(MUTANTS))
    add("--mutants", action="store_true", help="all mutants, each of which must be found guilty")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""The doctor: looks at every part and says in plain words what is wrong, and what to do."""

import argparse
from typing import Final

from shared.admin.checks.artifacts import check_artifacts
from shared.admin.checks.clock import check_clock
from shared.admin.checks.consumers import check_consumers
from shared.admin.checks.database import check_database
from shared.admin.checks.finding import CheckResult, Severity
from shared.admin.checks.processes import check_processes
from shared.admin.checks.redis import check_redis
from shared.admin.checks.versions import check_versions
from shared.admin.command import Group, Output, Stage

_CHECKS: Final = (
    check_database, check_redis, check_artifacts, check_clock, check_versions, check_processes,
    check_consumers,
)  # fmt: skip
_INDENT: Final = 20


def examine(stage: Stage, _arguments: argparse.Namespace) -> Output:
    """Look at everything; the exit code is 1 when something is wrong."""
    findings = [finding for check in _CHECKS for finding in check(stage)]
    bad = [finding for finding in findings if finding.level is Severity.WRONG]
    problems = "1 problem" if len(bad) == 1 else f"{len(bad) or 'No'} problems"
    return Output(
        text="\n".join([*map(_told, findings), "", f"{problems} found."]),
        document={
            "wrong": len(bad),
            "findings": [
                {"about": f.about, "level": f.level, "what": f.what, "cure": f.cure}
                for f in findings
            ],
        },
        code=int(bool(bad)),
    )


def _told(finding: CheckResult) -> str:
    line = f"{finding.level:<8} {finding.about:<10} {finding.what}"
    return f"{line}\n{' ' * _INDENT}{finding.cure}" if finding.cure else line


def add_to(commands: Group) -> None:
    """Add `doctor`."""
    commands.add("doctor", examine, "look at every part, and say what is wrong and what to do")

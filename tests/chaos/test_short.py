"""The fault suite's short form: one seed, each kind of fault, and the mutants it must find."""

import shutil

import pytest

from tests.chaos.beans import Beans
from tests.chaos.mutants import MUTANTS
from tests.chaos.run import Plan, Report, mutant_plan, run
from tests.servers import MariaDBServer

FAULTS = (
    "worker killed",
    "login refused",
    "API killed before publish",
    "Redis killed",
    "database commits unheard",
    "worker frozen",
    "database killed",
    "messages sent again, out of order",
    "sweepers killed",
)

# The others take too long for every run of the tests: `make chaos ARGS=--mutants` tries all.
SHORT_MUTANTS = ("no-fence", "no-sweep", "two-transactions")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # Connections that were cut on purpose are closed when their turn comes.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def strike(plan: Plan, server: MariaDBServer, beans: Beans) -> Report:
    """Carry out `plan`; the logs stay when something is wrong."""
    report = run(plan, server, beans)
    if report.logs and not report.verdict.violations:
        shutil.rmtree(report.logs, ignore_errors=True)
    return report


def test_whatever_strikes_each_accepted_job_has_exactly_one_right_result(
    mortal: MariaDBServer, beans: Beans
) -> None:
    """Or an honest end with a reason; counted by SQL against what clients were told."""
    plan = Plan(seed=7, seconds=30, clients=4, pause=0.1, poison=1, hold=4, faults=FAULTS)

    report = strike(plan, mortal, beans)

    assert report.verdict.violations == []
    assert report.verdict.counts["accepted"] > 30
    assert report.struck.total() >= 4


@pytest.mark.parametrize("name", SHORT_MUTANTS)
def test_a_system_without_one_of_its_safeguards_is_found_guilty(
    name: str, mortal: MariaDBServer, beans: Beans
) -> None:
    """Else the suite would prove nothing. On a busy machine it may take more than one seed."""
    reports = (strike(mutant_plan(name, seed), mortal, beans) for seed in (1, 2, 3))

    assert any(report.verdict.guilty_of & MUTANTS[name].shows for report in reports)

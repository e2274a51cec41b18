"""The registry of faults, and the mutants that they must find."""

import random

import pytest

from tests.chaos.faults import FAULTS, Target, deal, of_target
from tests.chaos.mutants import MUTANTS


def test_every_fault_belongs_to_one_target() -> None:
    """The groups together are all faults, and none is in two."""
    grouped = [name for target in Target for name in of_target(target)]

    assert sorted(grouped) == sorted(FAULTS)


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_names_faults_that_exist(name: str) -> None:
    """Else a mutant would be tried without the fault that shows it."""
    assert set(MUTANTS[name].faults) <= FAULTS.keys()


def test_each_fault_strikes_once_before_any_strikes_again() -> None:
    """Whatever the seed, a run of many faults has each of them."""
    dealt = deal(random.Random(1), list("abc"), 7)

    assert [sorted(dealt[:3]), sorted(dealt[3:6])] == [list("abc")] * 2
    assert len(dealt) == 7

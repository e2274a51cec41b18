"""The product with one safeguard taken out: the suite must find each of these guilty."""

from typing import Final

from tests.chaos.mutants import fencing, guards
from tests.chaos.mutants.base import Mutant

__all__ = ["MUTANTS", "Mutant"]

MUTANTS: Final[dict[str, Mutant]] = {**fencing.MUTANTS, **guards.MUTANTS}

"""`python -m tests.chaos.mutant_sweeper` is the sweeper where a mutant changes it."""

import os

from tests.chaos.mutants import MUTANTS
from tests.chaos.worker import MUTANT
from worker.sweeper.runner import main

if __name__ == "__main__":
    MUTANTS[os.environ[MUTANT]].apply()
    main()

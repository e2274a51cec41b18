"""Run the sweeper: `python -m worker.sweep`, the name that operators type."""

from worker.sweeper.runner import main

if __name__ == "__main__":
    main()

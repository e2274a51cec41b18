"""Run the sweeper: `python -m worker.sweep`, the name that operators type."""

from shared.early_exit import exit_on_sigterm

if __name__ == "__main__":
    exit_on_sigterm()
    from worker.sweeper.runner import main

    main()

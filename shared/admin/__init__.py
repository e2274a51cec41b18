"""The operator's commands: `python -m shared.admin`, one module for each group of them."""

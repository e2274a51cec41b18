"""The commands of `drybeans`, one module for each thing that people want to do."""

from typing import Final

import click

from api.client.commands.changing import cancel, delete, retry
from api.client.commands.completing import completion
from api.client.commands.fetching import errors, results
from api.client.commands.finding import list_, models, status
from api.client.commands.predicting import predict
from api.client.commands.submitting import submit, watch

COMMANDS: Final[tuple[click.Command, ...]] = (
    submit, watch, status, results, errors, cancel, retry, delete, list_, models, predict,
    completion,
)  # fmt: skip

"""Load every artifact: `python -m worker.models.verify FOLDER`, when an image is built."""

import sys
from pathlib import Path

from shared.domain.errors import DryBeansError
from shared.models.registry import ModelRegistry
from worker.models.artifacts import load


def main(arguments: list[str]) -> str | None:
    """Print each artifact that proved itself; give None, or why one is refused."""
    if len(arguments) != 1:
        return "usage: python -m worker.models.verify FOLDER"
    try:
        catalog = ModelRegistry.read(Path(arguments[0]))
        proven = [load(catalog.folder(manifest)).manifest.id for manifest in catalog.all()]
    except DryBeansError as error:
        return f"prove: {error.detail}"
    for name in proven:
        print(f"{name} proved itself")  # noqa: T201 - for the log of the build
    return None if proven else f"prove: there is no model in {arguments[0]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

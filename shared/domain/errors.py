"""The one error tree: each class is a sentence and a stable code; none of them knows HTTP."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with what a client sent.

    `pointer` is a JSON pointer (RFC 6901) into the request body, or the name of a column.
    """

    pointer: str
    code: str
    detail: str


class DryBeansError(Exception):
    """Something went wrong in drybeans."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str | None = None, *, faults: tuple[Fault, ...] = ()) -> None:
        """Take `detail` as the message, or else the first line of the class's docstring."""
        self.detail = detail or (type(self).__doc__ or "").partition("\n")[0]
        self.faults = faults
        super().__init__(self.detail)


class ManifestInvalid(DryBeansError):
    """A model's manifest is not valid."""

    code = "manifest_invalid"


class ArtifactRefused(DryBeansError):
    """A model artifact did not prove itself and was not loaded."""

    code = "artifact_refused"


class ModelUnknown(DryBeansError):
    """No model has this name and version."""

    code = "model_unknown"

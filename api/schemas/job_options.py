"""The options of a job, which are the same in JSON, in a query and in a form."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)

from api.schemas.validation import Shape, validate, validation_error
from api.schemas.webhook_option import NO_WEBHOOKS, ReadWebhook
from shared.domain.chunks import Webhook
from shared.domain.errors import ModelUnknown
from shared.domain.webhook_targets import MAX_URL, TargetRefused
from shared.models.manifest import Manifest

LABEL_PREFIX: Final = "label."
_MAX_LABELS: Final = 16
_LABEL_LENGTH: Final = 64

INSTANCES: Final[dict[str, Any]] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "anyOf": [
            {"type": "array", "items": {"type": "number"}},
            {"type": "object", "additionalProperties": {"type": "number"}},
        ]
    },
}
"""The JSON schema of rows, which are validated one by one when they are packed."""

_URL: Final = {"type": "string", "format": "uri", "maxLength": MAX_URL}

Output = Literal["label", "probabilities"]
# MySQL treats texts that differ only in trailing spaces as equal.
Label = Annotated[
    str,
    StringConstraints(min_length=1, max_length=_LABEL_LENGTH, pattern=r"^\S(?:[\s\S]*\S)?$"),
]


class Resolve(Protocol):
    """Looks up the manifest of a model."""

    def __call__(self, name: str, /) -> Manifest:
        """Return the manifest that `name` refers to. Raise `ModelUnknown`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """Parse options; `max_retention` is the default and the limit of `retention_seconds`."""

    resolve: Resolve
    default_model: str
    max_retention: timedelta
    read_webhook: ReadWebhook = NO_WEBHOOKS

    def __call__(self, shape: type[Shape], document: Mapping[str, Any]) -> Shape:
        """Parse `document`, which may have only the members of `shape`.

        Raise `RequestInvalid` with all errors.
        """
        defaults = {"model": self.default_model, "retention_seconds": self.max_retention_seconds}
        return validate(shape, {**defaults, **document}, self)

    @property
    def max_retention_seconds(self) -> int:
        """The maximum retention of a job in seconds."""
        return round(self.max_retention.total_seconds())


def _resolve(name: object, info: ValidationInfo) -> Manifest:
    if not isinstance(name, str):
        raise validation_error(
            "string_type", 'model must be text such as "drybeans" or "drybeans@1".'
        )
    manifest: Manifest
    try:
        manifest = info.context.resolve(name)  # type: ignore[union-attr]
    except ModelUnknown as error:
        raise validation_error(error.code, error.detail) from None
    return manifest


def _check_label_count(labels: object) -> object:
    if isinstance(labels, dict) and len(labels) > _MAX_LABELS:
        raise validation_error(
            "too_long", f"A job may have {_MAX_LABELS} labels; this one has {len(labels)}."
        )
    return labels


def _check_outputs(outputs: list[Output], info: ValidationInfo) -> list[Output]:
    manifest: Manifest | None = info.data.get("model")
    for name in outputs:
        if manifest is not None and name not in manifest.outputs:
            possible = ", ".join(manifest.outputs)
            raise validation_error(
                "output_unknown", f"{manifest.id} has no output {name}; it has {possible}."
            )
    known: tuple[Output, ...] = ("label", "probabilities")
    return [name for name in known if name == "label" or name in outputs]


def _check_retention(seconds: int, info: ValidationInfo) -> int:
    limit: int = info.context.max_retention_seconds  # type: ignore[union-attr]
    if seconds > limit:
        raise validation_error("less_than_equal", f"retention_seconds must be at most {limit}.")
    return seconds


def _read_webhook(url: object, info: ValidationInfo) -> Webhook | None:
    if url is None:
        return None
    webhook: Webhook
    try:
        webhook = info.context.read_webhook(url)  # type: ignore[union-attr]
    except TargetRefused as error:
        raise validation_error("webhook", str(error)) from None
    return webhook


def _required(schema: dict[str, Any]) -> None:
    # Every option has a default; two of them are settings of the service.
    schema["required"] = [name for name in ("instances",) if name in schema["properties"]]


def label_values(labels: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a label's value, given the schema of all labels."""
    values: dict[str, Any] = labels.get("additionalProperties") or next(
        iter(labels["patternProperties"].values())
    )
    return values


def _form(schema: dict[str, Any]) -> None:
    labels = schema["properties"].pop("labels")
    schema["patternProperties"] = {r"^label\.": label_values(labels)}
    schema["required"] = ["file"]


class JobOptions(BaseModel):
    """The options of a job."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, json_schema_extra=_required)

    model: Annotated[Manifest, PlainValidator(_resolve), WithJsonSchema({"type": "string"})] = (
        Field(
            description="A model name, for its default version, or a name and a version.",
            examples=["drybeans", "drybeans@1"],
        )
    )
    outputs: Annotated[list[Output], Field(min_length=1), AfterValidator(_check_outputs)] = Field(
        default=["label"], description="The outputs for each row; the label is always included."
    )
    labels: Annotated[
        dict[Label, Label], Field(max_length=_MAX_LABELS), BeforeValidator(_check_label_count)
    ] = Field(
        default={},
        description="Your own key-value pairs, to find the job by.",
        examples=[{"batch": "7"}],
    )
    retention_seconds: Annotated[int, Field(ge=1), AfterValidator(_check_retention)] = Field(
        description="When to delete the job after its end; the default is also the maximum.",
        examples=[3600],
    )
    webhook: Annotated[
        Webhook | None,
        PlainValidator(_read_webhook),
        WithJsonSchema({"anyOf": [_URL, {"type": "null"}]}),
    ] = Field(
        default=None, description="A URL to which a signed request is sent when the job finishes."
    )
    on_error: Literal["continue", "abort"] = Field(
        default="continue",
        description="Whether an invalid row only gets an error or fails the job.",
    )
    max_errors: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The number of failed rows allowed; one more fails the job."
    )
    validate_only: bool = Field(
        default=False, description="Validate the rows without creating a job."
    )

    @property
    def allowed_errors(self) -> int | None:
        """The number of failed rows allowed, None for any number."""
        return 0 if self.on_error == "abort" and self.max_errors is None else self.max_errors

    @property
    def retention(self) -> timedelta:
        """How long the job is kept after it finishes."""
        return timedelta(seconds=self.retention_seconds)


class CsvOptions(JobOptions):
    """The options of a CSV job."""


class CsvForm(CsvOptions):
    """A form with a CSV: options as fields, labels as `label.<name>`.

    Fields may follow a file of up to 4 MiB; fields of a larger one must precede it.
    """

    model_config = ConfigDict(json_schema_extra=_form)

    file: Annotated[str, WithJsonSchema({"type": "string", "format": "binary"})] = Field(
        description="The CSV."
    )


class JsonJob(JobOptions):
    """A job whose rows come as JSON."""

    # Validated row by row when they are packed: an invalid row gets an error of its own.
    instances: Annotated[Any, WithJsonSchema(INSTANCES)] = Field(
        description="Rows: arrays of features in the model's order, or objects by feature name.",
    )

"""The one error tree: each class is a sentence and a stable code; none of them knows HTTP."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One thing wrong with what a client sent.

    `pointer` is a JSON pointer (RFC 6901) into the request body, or the name of a column.
    """

    pointer: str
    code: str
    detail: str


class DryBeansError(Exception):
    """Something went wrong in drybeans."""

    code: ClassVar[str] = "error"
    retry_after: ClassVar[int | None] = None
    """Seconds after which the same request may succeed; None if waiting changes nothing."""

    def __init__(self, detail: str | None = None, *, faults: tuple[FieldError, ...] = ()) -> None:
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


class ModelUnavailable(DryBeansError):
    """No worker can load this model at present; try again later."""

    code = "model_unavailable"
    retry_after = 2


class WorkerDied(DryBeansError):
    """Workers died while they ran this job."""

    code = "worker_died"


class PredictionFailed(DryBeansError):
    """The model failed on this job."""

    code = "prediction_failed"


class JobCanceled(DryBeansError):
    """The job was canceled before every row had a label."""

    code = "job_canceled"


class ModelNotFound(DryBeansError):
    """No model lives at this address."""

    code = "model_not_found"


class SettingsInvalid(DryBeansError):
    """The settings in the environment are not valid."""

    code = "settings_invalid"


class RequestInvalid(DryBeansError):
    """The request is well-formed but says something that cannot be done."""

    code = "request_invalid"


class BodyMalformed(DryBeansError):
    """The body is not well-formed JSON."""

    code = "body_malformed"


class BodyTypeUnsupported(DryBeansError):
    """The body's content type is not one that this call takes."""

    code = "body_type_unsupported"


class BodyTooLarge(DryBeansError):
    """The body is larger than this service takes."""

    code = "body_too_large"


class BodyTooSlow(DryBeansError):
    """The body came too slowly."""

    code = "body_too_slow"


class JobNotFound(DryBeansError):
    """No job has this id."""

    code = "job_not_found"


class JobDeleted(DryBeansError):
    """The job was here and has been deleted."""

    code = "job_deleted"


class JobFinished(DryBeansError):
    """The job has finished, and finished jobs do not change."""

    code = "job_finished"


class NothingToRetry(DryBeansError):
    """Every part of the job was run, so there is nothing to run again."""

    code = "nothing_to_retry"


class NoWebhook(DryBeansError):
    """The job was submitted without a webhook, so there is nothing to deliver."""

    code = "no_webhook"


class KeyMissing(DryBeansError):
    """Send an API key, as in `Authorization: Bearer dbk_…`."""

    code = "api_key_missing"


class KeyWrong(DryBeansError):
    """This API key is not valid."""

    code = "api_key_wrong"


class KeyUnknown(DryBeansError):
    """There is no such API key, or it has been revoked."""

    code = "api_key_unknown"


class NotPermitted(DryBeansError):
    """An API key does not permit this."""

    code = "not_permitted"


class HostNotAllowed(DryBeansError):
    """This service does not answer to the host name in the request."""

    code = "host_not_allowed"


class CrossOriginRefused(DryBeansError):
    """A page of another site may not send this request; only pages of this service may."""

    code = "cross_origin_refused"


class QuotaExceeded(DryBeansError):
    """This API key has used up its quota; try again later."""

    code = "quota_exceeded"
    retry_after = 1


class KeyInFlight(DryBeansError):
    """The first request with this Idempotency-Key is still being received; try again shortly."""

    code = "idempotency_key_in_flight"
    retry_after = 1


class KeyReused(DryBeansError):
    """This Idempotency-Key was used for another request; use a new one."""

    code = "idempotency_key_reused"


class KeyTaken(DryBeansError):
    """A job with this Idempotency-Key is there already."""

    code = "idempotency_key_taken"
    retry_after = 1


class Overloaded(DryBeansError):
    """More rows wait than the service takes on; try again later."""

    code = "overloaded"
    retry_after = 2


class UploadIncomplete(DryBeansError):
    """The upload ended before the end of the file, so none of its rows are kept; send it again."""

    code = "upload_incomplete"


class UploadStopped(DryBeansError):
    """The job ended before its upload did."""

    code = "upload_stopped"


class JobUnfinished(DryBeansError):
    """The job has not finished yet."""

    code = "job_unfinished"
    retry_after = 1


class WaitTimedOut(DryBeansError):
    """The prediction was accepted but did not finish in time."""

    code = "wait_timed_out"
    retry_after = 2


class IntakeFull(DryBeansError):
    """The service has more waiting requests than it can take; try again shortly."""

    code = "intake_full"
    retry_after = 2


class TooManyStreams(DryBeansError):
    """The service is sending as many large responses as it can; try again shortly."""

    code = "too_many_streams"
    retry_after = 2


class DatabaseDown(DryBeansError):
    """The database does not answer; nothing was accepted, so try again shortly."""

    code = "database_down"
    retry_after = 2


class DatabaseBusy(DatabaseDown):
    """The database is busy with other changes; nothing was accepted, so try again shortly."""

    code = "database_busy"


class DatabaseUnwritable(DatabaseDown):
    """The database stores nothing, because it is full or read-only; nothing was accepted."""

    code = "database_unwritable"


class DatabaseLoginRefused(DatabaseDown):
    """The database refuses the login or the rights of this service; nothing was accepted."""

    code = "database_login_refused"


class CommitUncertain(DatabaseDown):
    """The job may have been accepted; send it again with the same Idempotency-Key."""

    code = "commit_uncertain"


class QueueDown(DryBeansError):
    """Redis does not answer."""

    code = "queue_down"
    retry_after = 2


class ClaimLost(DryBeansError):
    """The claim was taken over by another worker; its result was not written."""

    code = "claim_lost"

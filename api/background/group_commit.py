"""Group commit: submissions that arrive together are committed together.

One writer stores all pending submissions in one transaction. A lone submission is stored at once;
while a commit is in progress the next group gathers. After a group of several the writer waits a
few milliseconds for a larger one: what a transaction costs is shared by more jobs.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.domain.chunks import Dispatch, Submission, SubmissionsRefused
from shared.domain.errors import (
    CommitUncertain,
    DatabaseDown,
    DryBeansError,
    IntakeFull,
)

log = logging.getLogger(__name__)

Store = Callable[[Sequence[Submission]], list[Dispatch]]
Publish = Callable[[Sequence[Dispatch]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCommitLimits:
    """Limits of pending submissions (`jobs`, `bytes`), of a group, and of a client's wait.

    After a group of several submissions the next one is taken `gather` seconds later, or when it
    is twice as large. `seconds` is how long a client waits for its commit.
    """

    jobs: int
    bytes: int
    group: int
    seconds: float
    gather: float = 0.005


@dataclass(slots=True, eq=False)
class _PendingSubmission:
    submission: Submission
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class GroupCommitWriter:
    """Commit submissions from many threads in groups; each caller waits for its commit."""

    def __init__(self, store: Store, publish: Publish, limits: GroupCommitLimits) -> None:
        """Use `store`, which commits a group, and `publish`, which must not block."""
        self._store = store
        self._publish = publish
        self._limits = limits
        self._pending: deque[_PendingSubmission] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._last_size = 0
        self._writer = threading.Thread(target=self._run, name="group-commit", daemon=True)

    @property
    def pending(self) -> int:
        """The number of submissions that the writer has not taken yet."""
        return len(self._pending)

    def start(self) -> None:
        """Start the writer thread; call it after the server has forked."""
        self._writer.start()

    def submit(self, submission: Submission) -> None:
        """Return once `submission` is committed.

        Raise `IntakeFull` when too many submissions are pending, `DatabaseDown` when it was not
        stored, `CommitUncertain` when it may have been stored, and the error with which the
        database refuses this submission.
        """
        entry = _PendingSubmission(submission)
        with self._changed:
            self._admit(submission)
            self._pending.append(entry)
            self._changed.notify()
        if not entry.done.wait(self._limits.seconds):
            self._cancel(entry)
        if entry.error is not None:
            raise entry.error

    def _admit(self, submission: Submission) -> None:
        too_many = len(self._pending) >= self._limits.jobs
        too_large = self._pending and self._bytes + submission.size > self._limits.bytes
        if self._closed or too_many or too_large:
            raise IntakeFull
        self._bytes += submission.size

    def _cancel(self, entry: _PendingSubmission) -> None:
        """Cancel `entry` if the writer has not taken it yet; its outcome is unknown otherwise.

        Raise `DatabaseDown` when it was canceled, `CommitUncertain` when its commit still runs.
        """
        with self._changed:
            if entry in self._pending:
                self._pending.remove(entry)
                self._bytes -= entry.submission.size
                raise DatabaseDown
        if not entry.done.is_set():
            raise CommitUncertain

    def close(self) -> None:
        """Refuse new submissions and return when the pending ones are stored."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._writer.is_alive():
            self._writer.join()

    def _run(self) -> None:
        while group := self._next_group():
            self._commit(group)

    def _next_group(self) -> list[_PendingSubmission]:
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closed)
            if self._last_size > 1:
                self._changed.wait_for(self._has_gathered, self._limits.gather)
            size = self._last_size = min(len(self._pending), self._limits.group)
            group = [self._pending.popleft() for _ in range(size)]
            self._bytes -= sum(entry.submission.size for entry in group)
            return group

    def _has_gathered(self) -> bool:
        enough = min(2 * self._last_size, self._limits.group)
        return self._closed or len(self._pending) >= enough

    def _commit(self, group: Sequence[_PendingSubmission]) -> None:
        try:
            dispatches = self._store([entry.submission for entry in group])
        except DatabaseDown as error:
            self._resolve(group, error)
        except SubmissionsRefused as error:
            self._commit_without(group, error.errors)
        except Exception as error:  # noqa: BLE001 - one submission must not fail the others
            self._isolate_failing_submission(group, error)
        else:
            self._publish(dispatches)
            self._resolve(group, None)

    def _commit_without(
        self, group: Sequence[_PendingSubmission], errors: Mapping[str, DryBeansError]
    ) -> None:
        """Resolve the submissions that were refused and commit the others together."""
        for entry in group:
            if entry.submission.id in errors:
                self._resolve([entry], errors[entry.submission.id])
        accepted = [entry for entry in group if entry.submission.id not in errors]
        if accepted:
            self._commit(accepted)

    def _isolate_failing_submission(
        self, group: Sequence[_PendingSubmission], error: Exception
    ) -> None:
        """Store each submission of a failed group alone, so that only the refused one fails."""
        if len(group) > 1:
            for entry in group:
                self._commit([entry])
            return
        if not isinstance(error, DryBeansError):
            log.error("submission_failed", exc_info=error)
        self._resolve(group, error)

    def _resolve(self, group: Sequence[_PendingSubmission], error: Exception | None) -> None:
        for entry in group:
            entry.error = error
            entry.done.set()

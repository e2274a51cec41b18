"""Enforces the row quotas of API keys, inside the transactions that accept rows.

The key's row is locked before its queued rows are counted, so transactions of one key follow each
other, whichever process runs them. Submissions without a quota lock and count nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select

from shared.db.api_keys import queued_rows
from shared.db.schema import api_keys
from shared.domain.chunks import Submission, SubmissionsRefused
from shared.domain.errors import BodyTooLarge, DryBeansError, QuotaExceeded
from shared.domain.jobs import JobId


def check_group(connection: Connection, group: Sequence[Submission]) -> None:
    """Raise `SubmissionsRefused` with those of `group` that their key's quota does not admit.

    Submissions of one key are admitted in the order of `group` as far as they fit.
    """
    limited = defaultdict(list)
    for submission in group:
        if submission.row_quota is not None:
            limited[submission.owner].append(submission)
    errors: dict[str, DryBeansError] = {}
    # In one order everywhere: two groups that name the same keys must not deadlock.
    for owner in sorted(limited):
        own = limited[owner]
        # Run again after a lost commit, the group may be stored already.
        queued = _lock_and_count(connection, owner, [submission.id for submission in own])
        for submission in own:
            error = _refusal(queued, submission.row_count, submission.row_quota)
            if error is None:
                queued += submission.row_count
            else:
                errors[submission.id] = error
    if errors:
        raise SubmissionsRefused(errors)


def check_more_rows(connection: Connection, owner: str, rows: int, quota: int | None) -> None:
    """Check that the key `owner` may have `rows` more rows queued.

    Raises `QuotaExceeded`, or `BodyTooLarge` when `rows` alone are more than `quota`.
    """
    if quota is None:
        return
    error = _refusal(_lock_and_count(connection, owner), rows, quota)
    if error is not None:
        raise error


def read_row_quota(connection: Connection, owner: str) -> int | None:
    """Return how many rows the key `owner` may have queued, None for any number."""
    return connection.scalar(select(api_keys.c.queued_rows).where(api_keys.c.id == owner))


def _lock_and_count(connection: Connection, owner: str, without: Collection[JobId] = ()) -> int:
    connection.execute(select(api_keys.c.id).where(api_keys.c.id == owner).with_for_update())
    return queued_rows(connection, owner, without)


def _refusal(queued: int, rows: int, quota: int | None) -> DryBeansError | None:
    if quota is None or queued + rows <= quota:
        return None
    if rows > quota:
        return BodyTooLarge(
            f"{rows} rows are more than the {quota} that this API key may have queued; send "
            "several smaller jobs."
        )
    return QuotaExceeded(
        f"The row quota of this API key is {quota}: {queued} queued, {rows} requested."
    )

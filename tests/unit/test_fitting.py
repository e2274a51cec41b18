"""Which chunks fit into some messages: the same count as when they are packed."""

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.chunks import Dispatch, MessageLimits, pack_messages, take_fitting
from shared.domain.jobs import ChunkRef, JobId, Queue

LIMITS = MessageLimits(rows=10, chunks=3)


def dispatches(shapes: list[tuple[int, bool]]) -> list[Dispatch]:
    """Make one dispatch of each (rows, alone)."""
    return [
        Dispatch(
            ref=ChunkRef(job=JobId("j"), seq=seq),
            queue=Queue.BULK,
            row_count=rows,
            own_message=alone,
        )
        for seq, (rows, alone) in enumerate(shapes)
    ]


shapes = st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=30)


@given(shapes, st.integers(0, 8))
def test_what_fits_is_the_longest_beginning_that_packs_into_so_many_messages(
    shape: list[tuple[int, bool]], messages: int
) -> None:
    """Packing it gives no more messages; with the next one it would give more."""
    due = dispatches(shape)

    fit = take_fitting(due, LIMITS, messages)

    assert fit == due[: len(fit)]
    assert len(list(pack_messages(fit, LIMITS))) <= messages
    if len(fit) < len(due):
        assert len(list(pack_messages(due[: len(fit) + 1], LIMITS))) > messages

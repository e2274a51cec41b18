"""What `claimed_by` holds: the worker that has a chunk."""

from worker.pool import claim_token


def test_a_claim_names_its_worker() -> None:
    """As Flower, metrics and the doctor name it, with an end that no other batch has."""
    worker = "worker-7@worker-bulk-6d5f7c9b8-abcde"

    tokens = {claim_token(worker) for _ in range(100)}

    assert len(tokens) == 100
    assert {token.partition("/")[0] for token in tokens} == {worker}


def test_a_long_name_fits_its_column() -> None:
    """64 characters, of which the random end stays."""
    tokens = {claim_token("worker-4194304@" + "h" * 63) for _ in range(100)}

    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {64}

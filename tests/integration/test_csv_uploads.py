"""Uploads of CSV: raw, compressed, in forms, with options, and too large."""

import gzip
import zlib
from collections.abc import Callable

import pytest

from shared.zstd import compress
from tests.beans import COUNT, a_csv, bean_labels
from tests.factories import purge_all
from tests.service import Body, Service
from tests.uploads import CHUNK, parts, stored, the_job

Start = Callable[..., Service]


def form(data: bytes, **fields: str) -> tuple[bytes, dict[str, str]]:
    """Write a form with a file, and its headers, as `curl -F` does."""
    head = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="../etc/x.csv"\r\n\r\n'
    body = "".join([*head, file]).encode() + data + b"\r\n--b--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("count", [COUNT, 5000])
@pytest.mark.parametrize(
    "encoding, encode", [("gzip", gzip.compress), ("zstd", compress)], ids=["gzip", "zstd"]
)
def test_a_compressed_csv_is_accepted(
    service: Service, encoding: str, encode: Callable[[bytes], bytes], count: int
) -> None:
    """With its Content-Encoding, small and large."""
    job = service.run_csv(encode(a_csv(count).encode()), headers={"Content-Encoding": encoding})

    assert service.labels(job) == bean_labels(count)


@pytest.mark.parametrize("count", [COUNT, 5000])
def test_a_form_with_a_file_is_accepted(service: Service, count: int) -> None:
    """As browsers and `curl -F` send it; options are fields beside the file."""
    body, headers = form(a_csv(count).encode(), model="drybeans@1", **{"label.batch": "7"})

    job = service.run_csv(body, headers=headers)

    assert (job["model"]["version"], job["labels"]) == (1, {"batch": "7"})
    assert job["rows"]["succeeded"] == count


def test_options_stand_in_the_query_of_a_raw_csv(service: Service) -> None:
    """The same as in JSON."""
    query = "?model=drybeans@2&outputs=label,probabilities&label.a=b&retention_seconds=60"

    job = service.run_csv(a_csv(), query)

    assert (job["model"]["version"], job["outputs"]) == (2, ["label", "probabilities"])
    assert job["labels"] == {"a": "b"}
    assert all(row["probabilities"][row["label"]] > 0 for row in service.rows(job))


@pytest.mark.parametrize(
    "query, pointer",
    [
        ("?on_error=ignore", "/on_error"),
        ("?max_errors=-1", "/max_errors"),
        ("?max_errors=few", "/max_errors"),
        ("?model=cats", "/model"),
        ("?outputs=colour", "/outputs/0"),
        ("?retention_seconds=1e3", "/retention_seconds"),
        ("?delimiter=;", "/delimiter"),
    ],
)
def test_a_wrong_option_is_refused_by_name(service: Service, query: str, pointer: str) -> None:
    """Before the rows are even looked at; an unknown one is a mistake too."""
    answer = service.post(f"/jobs{query}", a_csv())

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.get_json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "body, encoding, status, code",
    [
        (a_csv().encode(), "gzip", 400, "body_malformed"),
        (gzip.compress(a_csv().encode())[:-10], "gzip", 400, "body_malformed"),
        (compress(a_csv().encode())[:-10], "zstd", 400, "body_malformed"),
        (a_csv().encode(), "br", 415, "body_type_unsupported"),
    ],
)
def test_a_body_that_is_not_as_it_says_is_refused(
    service: Service, body: bytes, encoding: str, status: int, code: str
) -> None:
    """And leaves no job behind."""
    answer = service.post("/jobs", body, headers={"Content-Encoding": encoding})

    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert service.client.get("/jobs").get_json()["jobs"] == []


@pytest.mark.parametrize("before", [b"", a_csv().encode()])
def test_a_bomb_of_zeros_is_refused(service: Service, before: bytes) -> None:
    """A gibibyte in a mebibyte; it is over once a line is too long."""
    deep = zlib.compressobj(9, wbits=31)
    bomb = deep.compress(before) + b"".join(deep.compress(bytes(1 << 20)) for _ in range(64))

    answer = service.post("/jobs", bomb + deep.flush(), headers={"Content-Encoding": "gzip"})

    assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("streamed", [False, True])
def test_an_upload_over_the_limit_is_refused(start: Start, *, streamed: bool) -> None:
    """By its announced length, or once so much has come; nothing of it stays."""
    service = start(max_upload_bytes=20_000, chunk_bytes=CHUNK)

    answer = service.post("/jobs", Body(*parts()) if streamed else b"".join(parts()))

    assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")
    assert "larger than" in answer.get_json()["detail"]
    if streamed:
        job = the_job(service)
        assert (job["state"], job["error"]["code"]) == ("failed", "body_too_large")
        purge_all(service.database)
        assert stored(service, job["id"]) == {"inputs": 0, "results": 0}

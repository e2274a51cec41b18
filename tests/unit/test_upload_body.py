"""A CSV request as options and a stream, raw or as a form, whole or broken off."""

import gzip
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from api.http.decompression import BodyLimits
from api.http.upload_body import parse_options, read_body
from shared.domain.errors import (
    BodyMalformed,
    BodyTooLarge,
    DryBeansError,
    RequestInvalid,
    UploadIncomplete,
)

MUCH = 1 << 40
CSV = b"Area,Perimeter\n" + b"".join(b"%d,%d\n" % (at, at) for at in range(50_000))
FORM = "multipart/form-data; boundary=----b0"


def part(disposition: str, data: bytes) -> bytes:
    """Write one part of a form."""
    head = f"------b0\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def field(name: str, value: str) -> bytes:
    """Write a field of a form."""
    return part(f'name="{name}"', value.encode())


def file(data: bytes = CSV, name: str = "file") -> bytes:
    """Write a file in a form."""
    return part(f'name="{name}"; filename="beans.csv"', data)


END = b"------b0--\r\n"


def request(
    body: bytes, kind: str = FORM, *, query: str = "", length: int | None = None, encoding: str = ""
) -> Request:
    """Make a request whose body is `body` and whose Content-Length says `length`."""
    headers = [("Content-Encoding", encoding)] if encoding else []
    builder = EnvironBuilder("/jobs", query_string=query, content_type=kind, headers=headers)
    builder.input_stream = BytesIO(body)
    announced = {} if length is None else {"CONTENT_LENGTH": str(length)}
    return Request(builder.get_environ() | announced)


def read(request: Request, most: int = MUCH) -> tuple[Mapping[str, Any], bytes]:
    """Read all of a request."""
    options, stream = read_body(request, BodyLimits(bytes=most, ratio=MUCH))
    return options, b"".join(stream)


def refusal(request: Request, most: int = MUCH) -> DryBeansError:
    """Read a request that must be refused."""
    with pytest.raises(DryBeansError) as caught:
        read(request, most)
    return caught.value


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "us-ascii", "utf-8-sig"])
def test_text_may_be_declared_as_what_is_read(name: str) -> None:
    """Of a raw body and of a form's file; ASCII is UTF-8 too."""
    head = f'name="file"; filename="b"\r\nContent-Type: text/csv; charset={name}'

    assert read(request(CSV, f"text/csv; charset={name}"))[1] == CSV
    assert read(request(part(head, CSV) + END))[1] == CSV


@pytest.mark.parametrize("name", ["windows-1252", "iso-8859-1", "utf-16", "x" * 100, "hex"])
def test_text_declared_in_another_charset_is_refused(name: str) -> None:
    """What is declared counts, also where its bytes could be read as UTF-8."""
    head = f'name="file"; filename="b"\r\nContent-Type: text/csv; charset={name}'

    for asked in (request(CSV, f"text/csv; charset={name}"), request(part(head, CSV) + END)):
        error = refusal(asked)
        assert (error.code, error.detail) == (
            "body_type_unsupported",
            f"The charset {name[:80]!r} is not supported; send the text as UTF-8.",
        )


def test_a_raw_body_has_its_options_in_the_query() -> None:
    """`curl --data-binary @beans.csv -H 'Content-Type: text/csv' '…/jobs?model=drybeans@1'`."""
    options, data = read(request(CSV, "text/csv; charset=utf-8", query="model=drybeans@1"))

    assert (options, data) == ({"model": "drybeans@1"}, CSV)


def test_a_form_has_its_options_in_fields_before_the_file() -> None:
    """`curl -F model=drybeans@1 -F file=@beans.csv`; a field is worth more than the query."""
    body = field("model", "drybeans@1") + field("on_error", "abort") + file() + END

    options, data = read(request(body, query="model=drybeans@2&max_errors=7"))

    assert options == {"model": "drybeans@1", "on_error": "abort", "max_errors": 7}
    assert data == CSV


@given(st.binary(max_size=300), st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"------b"])))
def test_a_file_in_a_form_may_hold_any_bytes(start: bytes, odd: list[bytes]) -> None:
    """Also what looks like the beginning of a boundary."""
    data = start + b"".join(odd)

    assert read(request(file(data) + END))[1] == data


@pytest.mark.parametrize("size", [1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 1 << 18, 3_000_000])
def test_a_file_in_a_form_may_be_of_any_size(size: int) -> None:
    """The form's own limits are for its fields."""
    data = (CSV * (1 + size // len(CSV)))[:size]

    assert read(request(field("model", "x") + file(data) + END))[1] == data


def test_a_form_may_be_compressed_as_a_whole() -> None:
    """Content-Encoding is about the body, whatever its type."""
    body = gzip.compress(field("model", "x") + file() + END)

    assert read(request(body, encoding="gzip")) == ({"model": "x"}, CSV)


@pytest.mark.parametrize("size", [len(CSV), 1 << 16, 4 << 20])
def test_options_may_follow_a_file_of_up_to_4_mib(size: int) -> None:
    """Forms and generated clients write their parts in an order of their own."""
    data = (CSV * (1 + size // len(CSV)))[:size]
    body = field("model", "x") + file(data) + field("on_error", "abort") + END

    assert read(request(body)) == ({"model": "x", "on_error": "abort"}, data)


@pytest.mark.parametrize("after", [field("model", "x"), file()])
def test_what_follows_a_larger_file_is_refused(after: bytes) -> None:
    """Its rows are stored by then: an option would come too late, a second file has no place."""
    data = (CSV * (1 + (5 << 20) // len(CSV)))[: 5 << 20]
    error = refusal(request(file(data) + after + END))

    assert isinstance(error, RequestInvalid)
    assert error.detail == (
        "The file has more than 4194304 bytes: send the options before it, and one file only."
    )


def test_a_second_file_is_refused() -> None:
    """It could only take the place of the first."""
    error = refusal(request(file() + file() + END))

    assert isinstance(error, RequestInvalid)
    assert error.detail == "Send one file only."


@pytest.mark.parametrize("before", [b"", field("model", "x"), field("file", "Area\n1\n")])
def test_a_form_without_a_file_is_refused(before: bytes) -> None:
    """The answer says what the field must be called."""
    error = refusal(request(before + END))

    assert isinstance(error, RequestInvalid)
    assert 'as the field "file"' in error.detail


def test_a_file_by_another_name_is_refused_by_that_name() -> None:
    """A newcomer's `curl -F data=@beans.csv`, whose file is too long for a field."""
    error = refusal(request(file(name="data") + END))

    assert isinstance(error, RequestInvalid)
    assert error.detail == "Send the CSV as the field \"file\", not 'data'."


def test_a_field_of_unbounded_length_is_refused() -> None:
    """Fields are kept in memory, the file is not."""
    error = refusal(request(field("model", "x" * 70_000) + file() + END))

    assert isinstance(error, BodyTooLarge)


def test_a_form_of_very_many_fields_is_refused() -> None:
    """A hundred parts are more than there are options and labels."""
    body = b"".join(field(f"label.{at}", "x") for at in range(101))

    assert isinstance(refusal(request(body + file() + END)), BodyTooLarge)


@pytest.mark.parametrize(
    "body",
    [
        b"Area,Perimeter\n1,2\n",
        b"------b0\r\nContent-Type: text/csv\r\n\r\n1,2\r\n" + END,
        b"------b0\r\nContent-Disposition: form-data; \xff\xfe\r\n\r\n1\r\n" + END,
    ],
    ids=["no form", "no disposition", "no text"],
)
def test_a_damaged_form_is_refused(body: bytes) -> None:
    """With 400, and a reason."""
    error = refusal(request(body))

    assert isinstance(error, BodyMalformed)
    assert error.detail.startswith("The multipart body is malformed: ")


@pytest.mark.parametrize("kept", [0, 20, 80, 1000, 400_000])
def test_a_form_that_ends_before_its_last_boundary_is_refused(kept: int) -> None:
    """A client that sends chunks and stops in the middle, in good order."""
    body = file() + END

    error = refusal(request(body[:kept] if kept < 400_000 else body[: -len(END) - 1]))

    assert isinstance(error, BodyMalformed)
    assert "ends before its last boundary" in error.detail


def test_a_form_without_a_boundary_is_refused() -> None:
    """Without it there is no telling where the parts end."""
    error = refusal(request(file() + END, "multipart/form-data"))

    assert isinstance(error, BodyMalformed)


@pytest.mark.parametrize("kind", ["text/csv", FORM])
def test_a_body_shorter_than_announced_is_an_incomplete_upload(kind: str) -> None:
    """The connection broke: what came so far is no CSV, even when it ends at a line."""
    body = CSV if kind == "text/csv" else file() + END

    error = refusal(request(body[:200_000], kind, length=len(body)))

    assert isinstance(error, UploadIncomplete)


def test_a_connection_that_breaks_is_an_incomplete_upload() -> None:
    """Servers tell it as an error of the system when no length was announced."""
    broken = request(b"", "text/csv")
    broken.environ["wsgi.input"] = Broken(CSV)
    broken.environ["wsgi.input_terminated"] = True
    del broken.environ["CONTENT_LENGTH"]

    assert isinstance(refusal(broken), UploadIncomplete)


class Broken(BytesIO):
    """A body that ends in an error."""

    def read(self, size: int | None = -1, /) -> bytes:
        if data := super().read(size):
            return data
        raise ConnectionResetError


@pytest.mark.parametrize("kind", ["text/csv", FORM])
def test_a_body_over_the_limit_is_refused(kind: str) -> None:
    """Measured once decompressed."""
    body = CSV if kind == "text/csv" else file() + END

    error = refusal(request(gzip.compress(body), kind, encoding="gzip"), most=100_000)

    assert isinstance(error, BodyTooLarge)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_servers_own_limit_is_refused_in_the_same_way(*, announced: bool) -> None:
    """By its Content-Length, or when more has come: an upload that has begun must know why."""
    sent = request(CSV, "text/csv")
    sent.max_content_length = 1000
    if not announced:
        sent.environ["wsgi.input_terminated"] = True
        del sent.environ["CONTENT_LENGTH"]

    assert isinstance(refusal(sent), BodyTooLarge)


def test_text_fields_become_the_options_that_json_would_hold() -> None:
    """Numbers, a list of outputs however it is written, labels by their prefix."""
    fields = {
        "model": ["drybeans@1"],
        "outputs": ["label, probabilities"],
        "retention_seconds": ["3600"],
        "max_errors": ["007"],
        "label.batch": ["7"],
        "label.": ["empty"],
        "on_error": ["continue", "abort"],
    }

    assert parse_options(fields) == {
        "model": "drybeans@1",
        "outputs": ["label", "probabilities"],
        "retention_seconds": 3600,
        "max_errors": 7,
        "on_error": "abort",
        "labels": {"batch": "7", "": "empty"},
    }
    assert parse_options({"outputs": ["label", "probabilities"]})["outputs"] == [
        "label",
        "probabilities",
    ]


@pytest.mark.parametrize("text", ["", "-1", "1.0", "١", "1e3", " 1"])  # noqa: RUF001 - a digit
def test_what_is_no_whole_number_stays_text_and_is_refused_later(text: str) -> None:
    """So that the refusal can say which option is wrong."""
    assert parse_options({"max_errors": [text]}) == {"max_errors": text}


def test_a_number_of_a_million_digits_is_not_even_computed() -> None:
    """It is over every limit already."""
    number = parse_options({"max_errors": ["9" * 1_000_000]})["max_errors"]

    assert isinstance(number, int)
    assert number > 10**17

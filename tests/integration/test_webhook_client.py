"""One attempt to deliver a webhook, against real receivers: where it goes and how it is bounded."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook

from shared.domain.jobs import JobId, JobState
from shared.domain.webhook_targets import Address, read_networks
from shared.domain.webhooks import DeliveryAttempt, DeliveryResponse, secret_of, show_secret
from tests.receiver import Receiver, receiving
from worker.webhooks.client import CONNECT_TIMEOUT, WebhookClient, look_up

MASTER = b"m" * 32
LOOPBACK = read_networks("127.0.0.0/8")
HERE = ipaddress.ip_address("127.0.0.1")
NAME = "hooks.example"


def parcel_for(url: str) -> DeliveryAttempt:
    """Make a parcel that goes to `url`."""
    return DeliveryAttempt(
        job=JobId("01a20ba7-8ee8-730e-a694-be547a8145fc"),
        fence=1,
        attempt=1,
        url=url,
        host="x",
        owner="keyone",
        state=JobState.PARTIAL,
        finished_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        sent_at=datetime.now(UTC),
    )


def a_sender(
    *answers: Sequence[str], allowed: str = "127.0.0.0/8", seconds: float = 5.0
) -> WebhookClient:
    """Make a sender whose resolver gives each of `answers` once, in turn."""
    turns = iter(answers)

    def resolve(host: str, port: int) -> Sequence[Address]:
        return (
            [ipaddress.ip_address(text) for text in next(turns)] if answers else look_up(host, port)
        )

    return WebhookClient(
        masters=[MASTER], allowed=read_networks(allowed), resolve=resolve, seconds=seconds
    )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on loopback."""
    with receiving() as running:
        yield running


def test_a_webhook_is_what_the_standard_says(receiver: Receiver) -> None:
    """Another's implementation verifies it as it came over the wire; the body is thin."""
    parcel = parcel_for(receiver.url)

    reply = a_sender()(parcel)

    (got,) = receiver.got
    document = Webhook(show_secret(secret_of(MASTER, "keyone"))).verify(got.body, got.headers)
    assert (reply.status, got.path) == (204, "/hook?a=b")
    assert got.headers["webhook-id"] == parcel.id
    assert document == {
        "type": "job.partial",
        "timestamp": "2026-01-31T12:00:00Z",
        "data": {
            "id": parcel.job,
            "state": "partial",
            "links": {
                "self": f"/jobs/{parcel.job}",
                "results": f"/jobs/{parcel.job}/results",
                "errors": f"/jobs/{parcel.job}/errors",
            },
        },
    }


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """It is an answer like any other: whoever redirects could lead anywhere."""
    receiver.statuses = [302]
    with receiving() as other:
        receiver.headers = {"Location": other.url}

        reply = a_sender()(parcel_for(receiver.url))

        assert reply.status == 302
        assert other.got == []


def test_without_leave_nothing_reaches_this_machine(receiver: Receiver) -> None:
    """Neither by address nor by name nor by a spelling that only the resolver understands."""
    for host in ("127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"):
        reply = a_sender(allowed="")(parcel_for(f"http://{host}:{receiver.port}/"))

        assert reply.refused, host
    assert receiver.got == []


def test_a_name_that_changes_its_answer_leads_nowhere_else(receiver: Receiver) -> None:
    """DNS rebinding: checked with a public address, asked again it would be loopback.

    The name is looked up once, and what is connected to is what was checked: no connection is
    made to the second answer, which is where the receiver listens.
    """
    asked = []

    def rebinding(host: str, _port: int) -> Sequence[Address]:
        asked.append(host)
        first = "192.0.2.1" if len(asked) == 1 else "127.0.0.1"
        return [ipaddress.ip_address(first)]

    send = WebhookClient(
        masters=[MASTER], allowed=read_networks("192.0.2.0/24"), resolve=rebinding, seconds=0.3
    )
    reply = send(parcel_for(f"http://{NAME}:{receiver.port}/"))

    assert reply.status is None
    assert asked == [NAME]
    assert receiver.got == []
    assert send(parcel_for(f"http://{NAME}:{receiver.port}/")).refused


def test_of_several_addresses_only_those_that_may_be_called_are_tried(receiver: Receiver) -> None:
    """A private one beside them is passed over; one that does not answer gives way to the next."""
    send = a_sender(["10.0.0.1", "127.0.0.9", "127.0.0.1"])

    reply = send(parcel_for(f"http://{NAME}:{receiver.port}/"))

    assert reply.status == 204
    assert receiver.got[0].headers["Host"] == f"{NAME}:{receiver.port}"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-name.invalid/"])
def test_a_receiver_that_is_not_there_is_tried_again(url: str) -> None:
    """Nothing is raised, and it says why."""
    reply = a_sender()(parcel_for(url))

    assert (reply.status, reply.refused) == (None, False)
    assert reply.error


@contextmanager
def trickling(*, first: bytes, every: float) -> Iterator[int]:
    """Listen, send `first`, and then a byte at a time for ever."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with closing(connection):
                connection.recv(65536)
                piece = first
                try:
                    while not done.wait(every):
                        connection.sendall(piece)
                        piece = b"x"
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize("first", [b"H", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_receiver_that_trickles_its_answer_is_left(first: bytes) -> None:
    """Every byte comes in time, and the whole does not: a sender is held for the limit at most."""
    with trickling(first=first, every=0.05) as port:
        reply = a_sender(seconds=0.5)(parcel_for(f"http://127.0.0.1:{port}/"))

    assert reply == DeliveryResponse(error="There was no complete response within 0.5 s.")


def test_an_endless_body_is_not_read() -> None:
    """The head of an answer is all that counts."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    with trickling(first=head, every=0.01) as port:
        reply = a_sender(seconds=120)(parcel_for(f"http://127.0.0.1:{port}/"))

    assert reply.status == 200


def test_a_receiver_that_says_nothing_is_left(receiver: Receiver) -> None:
    """It took the message and does not answer: that counts as not delivered."""
    receiver.hold.clear()

    reply = a_sender(seconds=0.3)(parcel_for(receiver.url))

    assert reply.status is None
    assert len(receiver.got) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [2, 5, 9])
def test_a_receiver_may_take_longer_to_respond_than_to_connect(
    receiver: Receiver, seconds: float
) -> None:
    """The time-out of connecting ends with the connection: the message is delivered, once."""
    receiver.delay = seconds
    send = a_sender(seconds=120)
    assert seconds == 2 or seconds > CONNECT_TIMEOUT

    reply = send(parcel_for(receiver.url))

    assert reply == DeliveryResponse(status=204)
    assert len(receiver.got) == 1


def test_a_receiver_that_responds_too_late_is_told_apart(receiver: Receiver) -> None:
    """The owner reads how long it may take, and not what the driver calls it."""
    receiver.hold.clear()

    reply = a_sender(seconds=0.5)(parcel_for(receiver.url))

    assert reply == DeliveryResponse(error="There was no complete response within 0.5 s.")


def test_what_speaks_another_language_is_told() -> None:
    """A port on which no HTTP is spoken gives an error and no exception."""
    with trickling(first=b"SSH-2.0-OpenSSH\r\n", every=0.01) as port:
        reply = a_sender(seconds=1)(parcel_for(f"http://127.0.0.1:{port}/"))

    assert reply.status is None
    assert reply.error


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return contexts of a server that is called `name`, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=certificate.public_bytes(pem).decode())


@pytest.mark.parametrize(
    "asked, delivered", [(NAME, True), ("other.example", False)], ids=["its name", "another's"]
)
def test_tls_verifies_the_name_and_not_the_address(
    tmp_path: Path, asked: str, *, delivered: bool
) -> None:
    """The certificate must be for the host of the URL, though the connection goes to an address."""
    server, client = _certificate(tmp_path, NAME)
    with receiving(tls=server) as receiver:
        send = replace(a_sender(["127.0.0.1"]), tls=client)
        reply = send(parcel_for(f"https://{asked}:{receiver.port}/"))

    assert (reply.status == 204) is delivered
    assert (len(receiver.got) == 1) is delivered


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """The system's own authorities decide, as for any client."""
    server, _ = _certificate(tmp_path, NAME)
    with receiving(tls=server) as receiver:
        reply = a_sender(["127.0.0.1"])(parcel_for(f"https://{NAME}:{receiver.port}/"))

    assert reply.status is None
    assert receiver.got == []
    assert "certificate" in (reply.error or "").lower()

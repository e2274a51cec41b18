"""Webhooks as plain values: signatures, secrets, and when an attempt is the last."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shared.domain.webhooks import (
    DELAYS,
    DeliveryResponse,
    DeliveryState,
    decide_retry,
    read_retry_after,
    read_secrets,
    secret_of,
    show_secret,
    sign,
)

NEW, OLD = show_secret(b"n" * 32), show_secret(b"o" * 32)
BODY = b'{"type":"job.succeeded"}'
MIDDLE = 0.5


@pytest.mark.parametrize(
    "reply, attempt, state",
    [
        (DeliveryResponse(status=200), 1, DeliveryState.DELIVERED),
        (DeliveryResponse(status=204), 1, DeliveryState.DELIVERED),
        (DeliveryResponse(status=299), len(DELAYS) + 1, DeliveryState.DELIVERED),
        (DeliveryResponse(status=410), 1, DeliveryState.GONE),
        (DeliveryResponse(error="no address", refused=True), 1, DeliveryState.FAILED),
        *(
            (DeliveryResponse(status=s), 1, DeliveryState.PENDING)
            for s in (199, 301, 302, 307, 400, 401)
        ),
        *(
            (DeliveryResponse(status=s), 1, DeliveryState.PENDING)
            for s in (404, 409, 429, 500, 503)
        ),
        (DeliveryResponse(error="timed out"), 1, DeliveryState.PENDING),
        (DeliveryResponse(status=500), len(DELAYS), DeliveryState.PENDING),
        (DeliveryResponse(status=500), len(DELAYS) + 1, DeliveryState.FAILED),
        (DeliveryResponse(error="timed out"), len(DELAYS) + 1, DeliveryState.FAILED),
    ],
)
def test_what_an_attempt_came_to_decides_how_it_goes_on(
    reply: DeliveryResponse, attempt: int, state: DeliveryState
) -> None:
    """2xx is done, 410 stops, a refused address stops, and all else is tried again for hours."""
    verdict = decide_retry(reply, attempt, MIDDLE)

    assert verdict.state is state
    assert (verdict.after is not None) is (state is DeliveryState.PENDING)


def test_attempts_spread_over_hours_and_never_at_once() -> None:
    """Each wait is longer than the one before, and chance moves it by half of itself."""
    waits = [
        decide_retry(DeliveryResponse(status=500), n, MIDDLE).after
        for n in range(1, len(DELAYS) + 1)
    ]
    low, high = (
        decide_retry(DeliveryResponse(status=500), 3, 0.0).after,
        decide_retry(DeliveryResponse(status=500), 3, 1.0).after,
    )

    assert waits == list(DELAYS) == sorted(DELAYS)
    assert timedelta(hours=24) < sum(DELAYS, timedelta()) < timedelta(hours=72)
    assert (low, high) == (DELAYS[2] * 0.5, DELAYS[2] * 1.5)


@pytest.mark.parametrize(
    "asked, low, high",
    [
        (timedelta(seconds=1), DELAYS[1] * 0.5, DELAYS[1] * 1.5),
        (timedelta(hours=1), timedelta(hours=1), timedelta(hours=1.1)),
        (timedelta(days=9000), timedelta(days=1), timedelta(days=1.1)),
    ],
    ids=["sooner", "later", "never"],
)
def test_a_receiver_may_ask_for_a_longer_wait(
    asked: timedelta, low: timedelta, high: timedelta
) -> None:
    """Never for a shorter one, and for a day at most."""
    reply = DeliveryResponse(status=503, asked=asked)

    assert decide_retry(reply, 2, 0.0).after == low
    assert decide_retry(reply, 2, 1.0).after == high


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("120", 120),
        (" 7 ", 7),
        ("Wed, 25 Nov 2026 12:00:30 GMT", 30),
        ("Wed, 25 Nov 2026 11:00:00 GMT", 0),
        *((text, 0) for text in (None, "", "soon", "-5", "1.5", "\u0663", "9" * 400)),
        *((text, 0) for text in ("Wed, 25 Nov 2026 12:00:30", "Wed, 99 Nov 9999999 12:00:00 GMT")),
    ],
)
def test_what_a_receiver_asks_for_is_read_as_seconds_or_a_date(
    text: str | None, seconds: int
) -> None:
    """What is neither asks for nothing, whatever it is."""
    assert read_retry_after(text, datetime(2026, 11, 25, 12, tzinfo=UTC)) == timedelta(
        seconds=seconds
    )


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_during_a_rotation_both_secrets_verify(secret: str) -> None:
    """Another's implementation takes the message with either of them."""
    moment = datetime.now(UTC)

    headers = sign(read_secrets(f"{NEW} {OLD}"), "msg_1", moment, BODY)

    assert Webhook(secret).verify(BODY, headers) == {"type": "job.succeeded"}
    assert headers["webhook-id"] == "msg_1"
    assert headers["webhook-signature"].count("v1,") == 2


@pytest.mark.parametrize("change", ["webhook-id", "webhook-timestamp", "body"])
def test_a_message_that_was_changed_does_not_verify(change: str) -> None:
    """Id, time and body are signed together."""
    headers = sign(read_secrets(NEW), "msg_1", datetime.now(UTC), BODY)
    body = BODY + b" " if change == "body" else BODY
    if change != "body":
        headers[change] = headers[change][:-1] + ("2" if headers[change][-1] != "2" else "3")

    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body, headers)


def test_each_key_has_a_secret_of_its_own() -> None:
    """The holder of one key cannot forge what another's receiver gets."""
    (master,) = read_secrets(NEW)

    secrets = {secret_of(master, owner) for owner in ("", "keyone", "keytwo")}

    assert len(secrets) == 3
    assert secret_of(master, "") == master
    assert read_secrets(show_secret(secret_of(master, "keyone"))) == (secret_of(master, "keyone"),)


@pytest.mark.parametrize(
    "text", ["secret", "whsec_", "whsec_x", "whsec_" + base64.b64encode(b"short").decode()]
)
def test_what_is_no_secret_is_refused_without_being_told(text: str) -> None:
    """The message says what one looks like."""
    with pytest.raises(ValueError, match="24 to 64 bytes") as caught:
        read_secrets(text)

    assert text.removeprefix("whsec_") not in str(caught.value) or text == "whsec_"


def test_without_a_secret_there_are_none() -> None:
    """An empty setting turns webhooks off."""
    assert read_secrets("  ") == ()

"""API keys as clients show them."""

import pytest

from shared.domain.keys import checksum, hash_secret, new_key_id, new_secret, parse_key

SECRET = "x" * 43


def test_a_new_key_ends_in_a_checksum() -> None:
    """Six characters over all before them; the hash is of the secret alone."""
    key_id = new_key_id()
    made = new_secret(key_id)

    parsed = parse_key(made.text)

    assert parsed is not None
    assert (parsed[0], hash_secret(parsed[1])) == (key_id, made.hash)
    assert made.text[-6:] == checksum(made.text[:-6])


def test_the_checksum_is_crc_32_in_base_62() -> None:
    """With leading zeros, and the digits first; 0xCBF43926 is CRC-32's published check value."""
    assert checksum("") == "000000"
    assert checksum("123456789") == "3jZRME"


def test_a_key_of_the_first_release_has_no_checksum() -> None:
    """It continues to work."""
    assert parse_key(f"dbk_abcdefghij12_{SECRET}") == ("abcdefghij12", SECRET)


def test_a_mistyped_key_is_refused() -> None:
    """Whichever of its characters is wrong."""
    text = new_secret(new_key_id()).text
    for at in range(len(text)):
        other = "a" if text[at] != "a" else "b"
        assert parse_key(text[:at] + other + text[at + 1 :]) is None, at


@pytest.mark.parametrize(
    "text", ["", "dbk_", "dbk_x", f"dbk_ABCDEFGHIJ12_{SECRET}", f"dbk_abcdefghij12_{SECRET}x"]
)
def test_text_of_another_form_is_no_key(text: str) -> None:
    """Nothing is looked up for it."""
    assert parse_key(text) is None

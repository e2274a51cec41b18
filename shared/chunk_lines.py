"""What can be told of a chunk's body without reading its numbers."""

from shared.domain.chunks import Encoding
from shared.domain.csv_layout import iter_rows
from shared.zstd import ZstdError, decompress


def lines_of_rows(encoding: Encoding, body: bytes, first_line: int) -> list[int] | None:
    """Return the line in the CSV of each row in `body`, whose first line is `first_line`.

    None when they simply follow one another, or there are no lines.
    """
    if encoding is not Encoding.CSV_ZSTD:
        return None
    try:
        data = decompress(body)
    except ZstdError:
        # The reason why it was given up, perhaps: no reason not to.
        return None
    lines = [first_line + at for at, _ in iter_rows(data)]
    return None if len(lines) == data.count(b"\n") else lines

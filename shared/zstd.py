"""Zstandard as Python 3.14 has it, from its backport until then."""

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import (
        DecompressionParameter,
        ZstdDecompressor,
        ZstdError,
        compress,
        decompress,
    )
else:
    from backports.zstd import (
        DecompressionParameter,
        ZstdDecompressor,
        ZstdError,
        compress,
        decompress,
    )

__all__ = ["DecompressionParameter", "ZstdDecompressor", "ZstdError", "compress", "decompress"]

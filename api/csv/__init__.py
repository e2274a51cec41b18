"""CSV uploads: decoded, cut at line ends, compressed and stored as they arrive."""

"""Marks that several test files share."""

from typing import Final

import pytest

ON_SQLITE: Final = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests of what no database has a part in: they need not be run on each kind."""

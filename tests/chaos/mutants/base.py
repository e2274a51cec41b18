"""What a mutant is: the product with one safeguard taken out."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """What is taken out, the faults under which that shows, and the violations it shows in.

    `apply` is called in each process of the kinds in `parts` before it starts. Batches take up to
    `seconds`, so that a fault strikes where the safeguard is missing.
    """

    told: str
    faults: tuple[str, ...]
    shows: frozenset[str]
    apply: Callable[[], None] = lambda: None
    parts: frozenset[str] = frozenset({"worker"})
    seconds: float = 0.5
    sweepers: int = 2

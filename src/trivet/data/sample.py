"""A share of a source's rows, decided row by row from the row's number alone.

Nothing is drawn in order, so the sample is the same whether rows are streamed, read in chunks or
asked for one by one, and a smaller share lies within a larger one.
"""

from __future__ import annotations

from hashlib import blake2b

_SPAN = 2**64


def sampled(row: int, share: float) -> bool:
    """Whether the row of that number belongs to the sample."""
    digest = blake2b(row.to_bytes(8, "little"), digest_size=8, person=b"trivet.share").digest()
    return int.from_bytes(digest, "little") < share * _SPAN

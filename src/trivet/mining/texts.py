"""A source's texts as a sequence, a run of rows in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trivet.data.table import Table

_BLOCK = 4096  # rows


class Texts(Sequence[str]):
    """One side of a source's texts, by their place: of tuples all documents of a row in turn."""

    def __init__(self, table: Table, side: str, width: int) -> None:
        """`width`: texts of that side in a row."""
        self.table, self.side, self.width = table, side, width
        self._block, self._found = -1, list[str]()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.table) * self.width

    def __getitem__(self, place: Any) -> Any:
        """One text."""
        row, nth = divmod(int(place), self.width)
        block, inside = divmod(row, _BLOCK)
        if block != self._block:
            rows = np.arange(block * _BLOCK, min((block + 1) * _BLOCK, len(self.table)))
            batch = self.table.read(rows)
            wanted = [[text] for text in batch.queries]
            wanted = wanted if self.side == "query" else batch.documents
            self._block, self._found = block, [text for texts in wanted for text in texts]
        return self._found[inside * self.width + nth]

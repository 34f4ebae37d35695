"""Bags of different sizes, held without padding.

Late interaction compares bags of token vectors, and no two texts have the same length. `Ragged`
holds all rows end to end and remembers where each begins, so there is no padding to compute and no
mask to forget: a padded token cannot win a maximum where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ragged:
    """N rows of different lengths: row i is values[offsets[i]:offsets[i + 1]]."""

    values: Tensor  # (T,) token ids or (T, D) vectors
    offsets: Tensor  # (N + 1,) int64, from 0 to T

    def __post_init__(self) -> None:
        """Refuse offsets that do not cut the values into rows."""
        offsets = self.offsets
        if offsets.ndim != 1 or offsets.numel() == 0:
            raise ValueError(f"offsets must be (N + 1,), not {tuple(offsets.shape)}")
        ends = (int(offsets[0]), int(offsets[-1]))
        if ends != (0, self.values.shape[0]) or bool((offsets.diff() < 0).any()):
            raise ValueError(f"offsets {ends} do not cut {self.values.shape[0]} values into rows")

    @classmethod
    def of(cls, rows: Sequence[Tensor] | Sequence[Sequence[int]]) -> Ragged:
        """Lay rows end to end."""
        tensors = [
            row if isinstance(row, Tensor) else torch.tensor(row, dtype=torch.int64) for row in rows
        ]
        lengths = torch.tensor([0, *(len(t) for t in tensors)], dtype=torch.int64)
        values = torch.cat(tensors) if tensors else torch.empty(0, dtype=torch.int64)
        return cls(values, lengths.cumsum(0))

    def __len__(self) -> int:
        """The number of rows."""
        return self.offsets.numel() - 1

    def __getitem__(self, row: int) -> Tensor:
        """One row, a view."""
        row = range(len(self))[row]
        return self.values[int(self.offsets[row]) : int(self.offsets[row + 1])]

    def __iter__(self) -> Iterator[Tensor]:
        """All rows, views, in order."""
        return iter(torch.split(self.values, self.lengths.tolist()))

    @property
    def lengths(self) -> Tensor:
        """The length of each row, (N,)."""
        return self.offsets.diff()

    def select(self, rows: Tensor) -> Ragged:
        """The named rows, in the order named."""
        parts = list(self)
        if rows.numel() == 0:
            return Ragged(self.values[:0], self.offsets[:1])
        return Ragged.of([parts[i] for i in rows.tolist()])

    def part(self, start: int, stop: int) -> Ragged:
        """Rows from one on to before another."""
        offsets = self.offsets[start : stop + 1]
        return Ragged(self.values[int(offsets[0]) : int(offsets[-1])], offsets - offsets[0])

    def pad(self, value: int | float = 0) -> tuple[Tensor, Tensor]:
        """The rows side by side, filled up to the longest, and the mask of what is real."""
        lengths = self.lengths
        width = int(lengths.max()) if len(self) else 0
        mask = torch.arange(width, device=lengths.device)[None, :] < lengths[:, None]  # (N, L)
        padded = self.values.new_full((len(self), width, *self.values.shape[1:]), value)
        padded[mask] = self.values
        return padded, mask

    def to(self, device: torch.device | str) -> Ragged:
        """The same rows on another device."""
        return Ragged(self.values.to(device), self.offsets.to(device))


def concatenate(parts: Sequence[Ragged]) -> Ragged:
    """All rows of all parts, in order."""
    lengths = torch.cat([part.lengths for part in parts])
    offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    return Ragged(torch.cat([part.values for part in parts]), offsets)

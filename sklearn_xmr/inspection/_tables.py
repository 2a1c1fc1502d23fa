"""Tables of results: rows that can be chosen, as text and as pandas has them."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sklearn_xmr.inspection._names import Names
from sklearn_xmr.utils._typing import Self

SHOWN = 10


class Table:
    """Base of dataclasses whose arrays have an element for each row.

    A subclass names these arrays in ``_columns``, has ``label_names``, and implements
    ``to_dict``.
    """

    _columns: ClassVar[tuple[str, ...]]
    label_names: list | None

    def __len__(self) -> int:
        return len(getattr(self, self._columns[0]))

    def __getitem__(self, which: ArrayLike | slice) -> Self:
        rows: Any = [which] if isinstance(which, int | np.integer) else which
        parts = {name: getattr(self, name) for name in self._columns}
        known = {name: part for name, part in parts.items() if part is not None}
        return replace(self, **{name: part[rows] for name, part in known.items()})

    def __str__(self) -> str:
        """The first ten rows, as a table in Markdown."""
        return markdown(self[:SHOWN].to_dict())

    def to_dict(self) -> dict[str, list]:
        """The columns of the table."""
        raise NotImplementedError

    def to_frame(self) -> Any:
        """The table of pandas.

        Returns
        -------
        pandas.DataFrame
            With the columns of ``to_dict``.
        """
        import pandas

        return pandas.DataFrame(self.to_dict())

    def _named(self, labels):
        """Names of labels, "" for -1."""
        names = Names(labels=self.label_names)
        return [names.label(label) if label >= 0 else "" for label in labels.tolist()]


def markdown(columns):
    """Make a table of columns.

    Parameters
    ----------
    columns : dict of str to list
        Of equal lengths.

    Returns
    -------
    str
        In Markdown; numbers with four digits.
    """
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for row in zip(*columns.values(), strict=True):
        lines.append(f"| {' | '.join(map(_cell, row))} |")
    return "\n".join(lines)


def _cell(value):
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")

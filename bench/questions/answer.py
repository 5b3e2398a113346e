"""One answer: a table whose rows were measured side by side in one run, and how. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.figures import Figure

__all__ = ["Answer", "Row", "markdown"]


@dataclass(frozen=True)
class Row:
    """One of those that are compared, and its figures by column; what could not be measured says why."""

    name: str
    figures: Mapping[str, Figure | str]
    ours: bool = False


@dataclass(frozen=True)
class Answer:
    """What one module has found."""

    rows: Sequence[Row]
    notes: Sequence[str] = field(default=())
    """A sentence each, below the table: versions of peers, what was left out and why."""

    @property
    def missed(self) -> list[str]:
        """Bars that are not met."""
        return [
            f"{row.name}, {column}: {figure.value:.4g} {figure.unit}".rstrip()
            for row in self.rows
            for column, figure in row.figures.items()
            if isinstance(figure, Figure) and figure.verdict == "NOT MET"
        ]


def markdown(answer: Answer) -> str:
    """The table, a row each, with ours in bold, and the notes below."""
    columns = list(dict.fromkeys(column for row in answer.rows for column in row.figures))
    lines = [_line("", *columns), _line(*["---"] * (len(columns) + 1))]
    for row in answer.rows:
        cells = [_cell(row.figures.get(column, "")) for column in columns]
        lines.append(_line(f"**{row.name}**" if row.ours else row.name, *cells))
    return "\n".join([*lines, *(f"\n{note}" for note in answer.notes)]) + "\n"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _cell(figure: Figure | str) -> str:
    """Value and unit, the interval where there is one, and the bar where one is missed."""
    if isinstance(figure, str):
        return figure
    text = f"{figure.value:.3g} {figure.unit}".rstrip()
    if figure.interval is not None:
        text += " ({:.3g} to {:.3g})".format(*figure.interval)
    return f"{text}, **bar {figure.bar} not met**" if figure.verdict == "NOT MET" else text

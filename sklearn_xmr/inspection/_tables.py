"""Columns as a table of text."""


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

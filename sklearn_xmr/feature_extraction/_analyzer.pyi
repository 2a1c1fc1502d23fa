from collections.abc import Collection

LOWERED_BY_PYTHON: str
UNITS: tuple[str, ...]

class Analyzer:
    """Words, characters or n-grams of a text."""

    def __init__(
        self,
        unit: str,
        lengths: tuple[int, int],
        ngram_range: tuple[int, int],
        lowercase: bool,
        strip: bool,
        stop_words: Collection[str] | None,
    ) -> None: ...
    def analyze(self, text: str) -> list[str]: ...

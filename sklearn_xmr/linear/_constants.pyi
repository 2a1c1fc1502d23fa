LANES: int
CHUNK_WIDTH: int
SPARE: int
OWN: int
ALL: int
MINED: int
LOSSES: dict[str, int]
VALUE_TYPES: tuple[str, ...]
COMBINERS: dict[str, int]

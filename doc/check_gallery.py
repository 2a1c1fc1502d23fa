"""Every card of the gallery has a picture of its own example.

python doc/check_gallery.py doc/_build/html
"""

import sys
from pathlib import Path


def cards_without_picture(site):
    """Names of examples that drew nothing: their cards show a placeholder."""
    images = site / "_images"
    cards = images.glob("sphx_glr_*_thumb.png")
    names = [card.name.removesuffix("_thumb.png") for card in cards]
    return [name for name in names if not (images / f"{name}_001.png").exists()]


if __name__ == "__main__":
    missing = cards_without_picture(Path(sys.argv[1]))
    if missing:
        sys.exit(f"no picture is drawn by {', '.join(sorted(missing))}")

"""Files that Annif reads, of Tate's artworks."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from sklearn_xmr.datasets import load_tate_subjects

EXAMPLE = Path(__file__).parents[2] / "examples" / "annif" / "annif_xmr.py"
URI = "http://example.org/tate/"
PROJECT = {
    "name": "Tate by XR-Linear",
    "language": "en",
    "vocab": "tate",
    "analyzer": "snowball(english)",
    "backend": "xmr",
    "trees": 1,
    "allow_learn": "true",
}
PARTS = {"train": (0, 1200), "more": (1200, 1400), "test": (1400, 1600)}


def write_corpus(folder):
    """Write a vocabulary and parts of 1,600 artworks; texts and names of subjects."""
    data = load_tate_subjects(subset="train")
    chosen = np.random.default_rng(0).permutation(len(data.data))[:1600]
    texts = [" ".join(data.data[i].split()) for i in chosen]  # one line each
    Y = data.target[chosen]
    frequent = np.flatnonzero(np.bincount(Y.indices, minlength=Y.shape[1]) >= 4)
    Y = Y[:, frequent]
    names = [data.target_names[i] for i in frequent]
    write_vocabulary(folder / "tate.csv", names)
    for part, (first, end) in PARTS.items():
        lines = (tsv_line(texts[i], Y[i].indices) for i in range(first, end))
        (folder / f"{part}.tsv").write_text("".join(lines), encoding="utf-8")
    return SimpleNamespace(folder=folder, texts=texts, names=names)


def write_vocabulary(path, names, deprecated=()):
    """Annif's CSV of subjects; those that are deprecated have no name."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["uri", "notation", "label_en"])
        for i, name in enumerate(names):
            rows.writerow([f"{URI}{i}", "", "" if i in deprecated else name])


def tsv_line(text, subjects):
    """A line of Annif's format for short texts."""
    return f"{text}\t{' '.join(f'<{URI}{i}>' for i in subjects)}\n"


def write_projects(folder, **settings):
    """A configuration of one project, with other settings or more."""
    lines = [f"{name}={value}" for name, value in {**PROJECT, **settings}.items()]
    path = folder / "projects.cfg"
    path.write_text("\n".join(["[tate-xmr]", *lines, ""]), encoding="utf-8")
    return path

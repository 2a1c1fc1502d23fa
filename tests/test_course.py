"""Notebooks of the course as they are shown: goals, exercises, faultless outputs."""

import json
from pathlib import Path

import pytest

COURSE = Path(__file__).parent.parent / "doc" / "course"
NOTEBOOKS = sorted(COURSE.glob("*.ipynb"))


def cells_of(path):
    return json.loads(path.read_text("utf-8"))["cells"]


def source_of(cell):
    return "".join(cell["source"])


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def cells(request):
    return cells_of(request.param)


def test_all_notebooks_are_in_the_index():
    index = (COURSE / "index.md").read_text("utf-8")
    assert len(NOTEBOOKS) == 9
    for number, path in enumerate(NOTEBOOKS, 1):
        assert path.stem in index and f"| {number} |" in index


def test_a_notebook_says_what_is_learned_and_how_long_it_takes(cells):
    first = source_of(cells[0])
    assert "**After this part**" in first and "**Time**: " in first


def test_exercises_have_hidden_solutions_and_some_ask_for_own_data(cells):
    (at,) = [i for i, cell in enumerate(cells) if "## Exercises" in source_of(cell)]
    exercises = source_of(cells[at])
    assert "**Change the data**" in exercises and "**Your own" in exercises
    solutions = cells[at + 1 :]
    assert solutions
    for cell in solutions:
        assert {"hide-cell", "solution"} <= set(cell["metadata"].get("tags", []))


def test_cells_were_run_without_errors_or_warnings(cells):
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        assert cell["execution_count"], source_of(cell)
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr", "".join(output["text"])


def test_the_page_of_the_tree_is_shown():
    shown = [
        "".join(output["data"]["text/html"])
        for cell in cells_of(NOTEBOOKS[3])
        if "view_label_tree" in source_of(cell)
        for output in cell.get("outputs", [])
    ]
    assert any(page.startswith("<iframe srcdoc=") for page in shown)

"""Code on the pages of the documentation runs; links in the README lead somewhere."""

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "doc").rglob("*.md"))]
PAGES = [p for p in PAGES if not {"_build", "auto_examples"} & set(p.parts)]
# A block that is not run has a comment with the reason above it.
BLOCK = re.compile(r"(<!-- not run:[^>]*-->\n)?```python\n(.*?)```", re.DOTALL)


def blocks_of(page):
    """Code of a page that is to be run."""
    return [
        code for skipped, code in BLOCK.findall(page.read_text("utf-8")) if not skipped
    ]


@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if blocks_of(p)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_code_on_pages_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("skops", "threadpoolctl", "sklearn.callback"):
        if name in page.read_text("utf-8"):
            pytest.importorskip(name)
    if "xlinear-model" in page.read_text("utf-8"):
        fixture = ROOT / "tests" / "persistence" / "fixtures" / "libpecos" / "flat"
        shutil.copytree(fixture, "xlinear-model")
    namespace = {"__name__": "page"}
    for code in blocks_of(page):
        exec(compile(code, str(page), "exec"), namespace)  # noqa: S102, our own pages


def test_reasons_are_given_for_code_that_is_not_run():
    for page in PAGES:
        for reason in re.findall(r"<!-- not run:(.*?)-->", page.read_text("utf-8")):
            assert len(reason.strip()) > 10


def test_files_that_the_readme_names_exist():
    text = (ROOT / "README.md").read_text("utf-8")
    named = re.findall(r"`((?:doc|examples|benchmarks|tests)/[\w./-]+)`", text)
    assert named
    for name in named:
        if "/_build/" in name:  # the site, once it is built
            continue
        assert (ROOT / name).exists(), name

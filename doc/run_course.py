"""Execute the notebooks of the course; any error in a cell is an error here.

python doc/run_course.py               all, leaving the files alone
python doc/run_course.py --write 05    those whose names begin so, outputs written back
python doc/run_course.py --limit 3000  on a busy machine, where a cell may take longer
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

COURSE = Path(__file__).parent / "course"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # the machine may have other work


def execute(path, folder, limit):
    """Execute a notebook; return it and the seconds that it took."""
    notebook = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    NotebookClient(
        notebook,
        timeout=limit,
        kernel_name="python3",
        resources={"metadata": {"path": folder}},
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times would change with every run
    return notebook, time.perf_counter() - start


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep the new outputs")
    parser.add_argument(
        "--limit",
        type=int,
        default=600,
        help="seconds for a cell (%(default)s)",
    )
    parser.add_argument("names", nargs="*", help="beginnings of names; default: all")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(COURSE.glob("*.ipynb")):
            if args.names and not path.name.startswith(tuple(args.names)):
                continue
            notebook, seconds = execute(path, folder, args.limit)
            print(f"{path.name:45} {seconds:6.1f} s", flush=True)
            if args.write:
                nbformat.write(notebook, path)


if __name__ == "__main__":
    main()

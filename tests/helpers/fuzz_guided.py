"""Mutations that reach new code of the Python readers, found by atheris:

    python tests/helpers/fuzz_guided.py KIND -runs=50000 [FOLDER]

Needs atheris (CPython to 3.13 on Linux) beside the package; KIND is one of fuzz.py's
kinds of files. The folder keeps inputs that reached new code. An input is a byte, which
chooses the file's name among those of the seeds, and the file's content. What must not
happen ends the run with a traceback, and a file ``crash-*`` in the working folder.
"""

import sys
import tempfile
import warnings
from zlib import crc32

import atheris

with atheris.instrument_imports(include=["sklearn_xmr", "json", "csv", "tarfile"]):
    import fuzz

    KIND = fuzz.kind_named(sys.argv[1])
    from fuzzing.files import Case

    from sklearn_xmr.utils._array_file import ALIGNMENT, PREAMBLE

MOST_BYTES = 1 << 16


def with_right_header(data, size):
    """A model file whose header is mutated as text, with its length and checksum."""
    which, content = data[:1], data[1:]
    length = PREAMBLE.unpack_from(content)[3] if len(content) > PREAMBLE.size else 0
    header = content[PREAMBLE.size :][:length]
    start = -(-(PREAMBLE.size + length) // ALIGNMENT) * ALIGNMENT
    if not header or start > len(content):
        return atheris.Mutate(data, size)
    header = atheris.Mutate(header, len(header) + 1024)
    padding = b"\0" * (-(PREAMBLE.size + len(header)) % ALIGNMENT)
    body = header + padding + content[start:]
    fields = crc32(header), len(header), PREAMBLE.size + len(body)
    return which + PREAMBLE.pack(content[:8], 1, *fields) + body


def mutate_models(data, size, seed):
    """Half of the mutations end at the checksum otherwise."""
    return with_right_header(data, size) if seed % 2 else atheris.Mutate(data, size)


def main():
    """Run libFuzzer on a kind of files; its options follow the kind."""
    warnings.simplefilter("ignore")
    kind = KIND(tempfile.mkdtemp())
    seeds = tempfile.mkdtemp()
    for number, case in enumerate(kind.seeds):
        with open(f"{seeds}/{number}", "wb") as file:
            file.write(bytes([number]) + case.content)

    def try_bytes(data):
        name = kind.seeds[data[0] % len(kind.seeds)].name if data else "nothing"
        if data:
            kind.try_case(Case(name, data[1:]))

    options = [sys.argv[0], f"-max_len={MOST_BYTES}", *sys.argv[2:], seeds]
    mutator = {"custom_mutator": mutate_models} if sys.argv[1] == "model" else {}
    atheris.Setup(options, try_bytes, **mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

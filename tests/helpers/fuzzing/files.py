"""Kinds of files: seeds, mutations, and what may come of them."""

from dataclasses import dataclass
from pathlib import Path

PROMISED = (ValueError, TypeError, OSError)


class Finding(AssertionError):
    """Something that must not happen, with the case that makes it happen."""

    def __init__(self, message, case=None):
        super().__init__(message)
        self.case = case


@dataclass(frozen=True)
class Case:
    """A file: its name (whose ending tells the reader) and its bytes."""

    name: str
    content: bytes


class FileKind:
    """Files of one kind. Subclasses give ``seeds``, ``mutated`` and ``read``.

    ``read`` returns what it read, or raises one of ``PROMISED`` with the file's name.
    """

    seeds: list

    def __init__(self, folder):
        self.folder = Path(folder)

    def mutated(self, case, rng):
        """Another case like this one."""
        raise NotImplementedError

    def read(self, case):
        """Read the file and check what was read; a word for what came of it."""
        raise NotImplementedError

    def try_one(self, rng):
        """Outcome of a mutation of one of the seeds."""
        return self.try_case(self.mutated(rng.choice(self.seeds), rng))

    def try_case(self, case):
        """Outcome of a case; Finding for what must not happen."""
        try:
            return self.read(case)
        except Finding as finding:
            finding.case = case
            raise
        except PROMISED as error:
            if self.name_in_errors(case) not in f"{error} {vars(error)}":
                name = type(error).__name__
                raise Finding(
                    f"{name} that names no file: {error}"[:300], case
                ) from error
            return type(error).__name__
        except BaseException as error:
            name = type(error).__name__
            raise Finding(f"{name}: {error}"[:300], case) from error

    def name_in_errors(self, case):
        """What each error must contain."""
        return case.name

    def write(self, case, name=None):
        """Path of the case's file."""
        path = self.folder / (name or case.name)
        path.write_bytes(case.content)
        return path


def require(condition, message):
    """Finding unless a condition holds."""
    if not condition:
        raise Finding(message)

"""Folders of files, on a local disk or at any URL that fsspec knows."""

import atexit
import os
import re
import shutil
import stat
import tempfile
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from sklearn_xmr.utils._content_key import content_key


class Folder:
    """A folder whose files are written whole and read from the local disk.

    A file at a URL is copied to the local disk when it is first read, once for each
    user of a machine, and again when it has changed.

    Parameters
    ----------
    url : path-like or str
        A local path, or a URL of a file system that fsspec knows.

    Raises
    ------
    ImportError
        If it is a URL, and fsspec is not installed.
    ValueError
        If fsspec does not know the URL's protocol, or the path is empty or a URL that
        has become a path.
    """

    def __init__(self, url):
        self.url, self._files = os.fspath(url), None
        if "://" in self.url:
            self.url = self.url.rstrip("/")
            self._files, self._root = _remote(self.url)
        else:
            self.url = _checked_path(self.url)

    def __str__(self):
        return self.url

    def __repr__(self):
        return f"Folder({self.url!r})"

    def __fspath__(self):
        return self.url

    def __truediv__(self, name):
        return Folder(f"{self.url}/{name}")

    @property
    def parent(self):
        """The folder above (Folder)."""
        return Folder(self.url.rpartition("/")[0] or "/")

    @property
    def name(self):
        """Its name in the folder above (str)."""
        return self.url.rpartition("/")[2]

    @property
    def is_local(self):
        """Whether it is a path of the local file system (bool)."""
        return self._files is None

    def exists(self, name):
        """Whether there is a file of this name (bool)."""
        if self.is_local:
            return Path(self.url, name).exists()
        return self._files.exists(f"{self._root}/{name}")

    def version(self, name):
        """What changes when a file is written again (str).

        Parameters
        ----------
        name : str
            Its name in the folder.

        Raises
        ------
        FileNotFoundError
            If it does not exist.
        """
        if self.is_local:
            found = os.stat(Path(self.url, name))
            return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"
        self._files.invalidate_cache()
        return str(self._files.ukey(f"{self._root}/{name}"))

    def read(self, name):
        """Local path of a file.

        Parameters
        ----------
        name : str
            Its name in the folder.

        Returns
        -------
        Path

        Raises
        ------
        OSError
            If it does not exist, or cannot be copied.
        """
        if self.is_local:
            return Path(self.url, name)
        which = content_key(self.url, name)
        kept = _local_copies() / f"{which}-{content_key(self.version(name))}"
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent) as unfinished:
                place = f"{self._root}/{name}"
                self._files.get_file(place, str(Path(unfinished, "file")))
                for old in kept.parent.glob(f"{which}-*"):
                    old.unlink(missing_ok=True)
                os.replace(Path(unfinished, "file"), kept)
        return kept

    @contextmanager
    def writing(self):
        """Within it, files are written to a local path, of which each appears whole.

        Yields
        ------
        Path
            The folder itself or, for a URL, one whose files are copied there at the
            end, in the order in which they were finished.

        Raises
        ------
        OSError
            If they cannot be written.
        """
        if self.is_local:
            Path(self.url).mkdir(parents=True, exist_ok=True)
            yield Path(self.url)
            return
        with tempfile.TemporaryDirectory(dir=_local_copies()) as unfinished:
            yield Path(unfinished)
            self._files.makedirs(self._root, exist_ok=True)
            files = sorted(
                Path(unfinished).iterdir(), key=lambda f: f.stat().st_mtime_ns
            )
            for path in files:
                self._files.put_file(str(path), f"{self._root}/{path.name}")


def _checked_path(path):
    """A local path, absolute: other processes have other working directories."""
    if not path:
        raise ValueError("a folder must have a name, got an empty one")
    if re.match(r"[A-Za-z][\w+.-]+:/", path):
        raise ValueError(
            f"{path!r} looks like a URL that has become a path: give it as a str"
        )
    return Path(os.path.abspath(path)).as_posix()


def _remote(url):
    """The file system of a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ImportError(
            f"{url!r} is a URL, which needs fsspec: pip install fsspec, or give a "
            "local path"
        ) from error
    return url_to_fs(url)


def _local_copies():
    """The folder of the local copies of files at URLs, which nobody else can write.

    It lies in the system's folder for temporary files (``TMPDIR``), for all processes
    of a user; one of this process alone where another has taken its name.
    """
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir(), f"sklearn_xmr-{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder if _is_own(folder) else _own_folder()


def _is_own(folder):
    """Whether a folder is one, and no other user can write into it."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        return False
    has_users = hasattr(os, "getuid")
    return not has_users or (found.st_uid == os.getuid() and not found.st_mode & 0o077)


@lru_cache(maxsize=1)
def _own_folder():
    folder = tempfile.mkdtemp(prefix="sklearn_xmr-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)

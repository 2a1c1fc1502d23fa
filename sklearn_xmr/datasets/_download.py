"""Files from the web: resumed where they broke off, and checked."""

import errno
import hashlib
import time
import urllib.error
import urllib.request
from pathlib import Path

BLOCK = 1 << 20
TIMEOUT = 60  # seconds without an answer
OF_THE_DISK = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES",
        "EDQUOT",
        "EFBIG",
        "EIO",
        "EISDIR",
        "ENOSPC",
        "EPERM",
        "EROFS",
    )
    if hasattr(errno, name)
)


def download(url, path, *, digest=None, algorithm="sha256", n_retries=3, delay=1.0):
    """Fetch a file, once.

    What broke off is kept beside it (``.part``) and continued, also by a later call,
    where the server allows it. The file takes its name only when it is whole and its
    checksum right.

    Parameters
    ----------
    url : str
        Address of the file.
    path : path-like
        Where to write it; nothing is fetched if it exists and its checksum is right.
    digest : str, default=None
        Checksum in hexadecimal; None: not checked.
    algorithm : str, default="sha256"
        Checksum algorithm of :mod:`hashlib`.
    n_retries : int, default=3
        Number of further tries after network errors.
    delay : float, default=1.0
        Seconds between tries.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    OSError
        If the network fails, or the checksum is wrong (what was fetched is removed
        then, but not a file that was there), or the file cannot be written.
    """
    path = Path(path)
    if path.exists():
        if digest is not None and _checksum(path, algorithm) != digest:
            raise OSError(
                f"{path} has not the {algorithm} checksum {digest} that {url} has: "
                "remove it to fetch it again"
            )
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for tries_left in range(n_retries, -1, -1):
        try:
            _continue(url, part)
            break
        except (urllib.error.URLError, OSError) as error:
            if error.errno in OF_THE_DISK:  # what is there stays, to be continued
                raise type(error)(error.errno, error.strerror, str(part)) from error
            # What the server refuses, it will refuse again.
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if refused or tries_left == 0:
                raise OSError(
                    f"could not fetch {url} ({error}); without a connection, put the "
                    f"file at {path} by hand"
                ) from error
            time.sleep(delay)
    if digest is not None:
        _verify(part, digest, algorithm, url)
    part.rename(path)
    return path


def _continue(url, part):
    """Append what is missing; start anew if the server sends the whole."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is missing, or the file has changed
            error.close()
            if error.headers.get("Content-Range", "").endswith(f"/{have}"):
                return
            part.unlink()
            return _continue(url, part)
        raise
    with answer, open(part, "ab" if answer.status == 206 else "wb") as file:
        start = file.tell()
        while block := answer.read(BLOCK):
            file.write(block)
        length = answer.headers.get("Content-Length")
        if length is not None and file.tell() - start < int(length):
            raise OSError(f"connection broke off after {file.tell()} bytes")


def _checksum(path, algorithm):
    running = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            running.update(block)
    return running.hexdigest()


def _verify(part, digest, algorithm, url):
    found = _checksum(part, algorithm)
    if found != digest:
        part.unlink()
        raise OSError(
            f"{url} has {algorithm} checksum {found} instead of {digest}: it was "
            "damaged on the way, or has changed; try again"
        )

"""The folder that a run writes to: one grader at a time, and a sentence where nothing can be written."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course_lib.tools.environment import Problem

CHOOSE = "choose another folder with --out"


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """The folder, made if it is not there, for this process alone; raises Problem where that is not to be had.

    The lock is the system's: it ends with the process, however that ends, and the empty file .lock means nothing.
    """
    handle = _opened(out)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise Problem(f"Another `course grade` is writing to {out}: wait for it to end, or {CHOOSE}") from None
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(handle)


def _opened(out: Path) -> int:
    """The lock's file."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        return os.open(out / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except (FileExistsError, NotADirectoryError):
        raise Problem(f"{out} is not a folder, or lies in something that is none: {CHOOSE}") from None
    except OSError as error:
        raise Problem(f"{out} cannot be written to ({error.strerror}): {CHOOSE}") from None

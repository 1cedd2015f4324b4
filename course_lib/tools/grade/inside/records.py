"""What crosses the wall of the sandbox: tasks go in, records of arrays come out.

A task is data of ours, pickled, behind a header. A reply is a header and records; a record is an .npz archive, stored
and never pickled, with "meta" (JSON as bytes) and the arrays a0, a1, ... This half is taken into the sandbox; what
comes out is read by incoming.py, which trusts none of it.
"""

import io
import json
import os
import struct
import zipfile
from collections.abc import Sequence

import numpy as np

from course_lib.exercises.answers import Answer

TASK = struct.Struct(">Qdd")  # bytes of the pickle, seconds of computing, seconds in all
REPLY = struct.Struct(">BBdQ")  # outcome, signal or exit status, seconds of computing, bytes of the records
LENGTH = struct.Struct(">I")  # bytes of one record
READY = b"ready"
OUTCOMES = ("ended", "killed", "cpu", "wall", "stopped", "flood", "memory", "files")
MOST = 16_000_000  # bytes of records for one exercise
MAGIC = b"\x93NUMPY\x01\x00"


def encode(answer: Answer) -> bytes:
    """An answer as a record; one that is too large to send becomes an answer that says so."""
    arrays = list(answer.arrays.values())
    if sum(array.nbytes for array in arrays) > MOST // 2:
        largest = max(arrays, key=lambda array: array.nbytes)
        return encode(Answer(problem="type", detail=f"an array of shape {largest.shape}"))
    meta = {"paths": list(answer.arrays), "types": list(answer.types.values())}
    meta |= {"problem": answer.problem, "detail": answer.detail, "container": answer.container}
    return packed(meta, arrays)


def packed(meta: dict, arrays: Sequence[np.ndarray] = ()) -> bytes:
    """A record, behind its length."""
    told = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in [("meta", told), *((f"a{i}", array) for i, array in enumerate(arrays))]:
            archive.writestr(f"{name}.npy", npy(array))
    record = file.getvalue()
    return LENGTH.pack(len(record)) + record


def npy(array: np.ndarray) -> bytes:
    """An array as numpy.save writes it, without asking a numpy that a student may have changed."""
    header = f"{{'descr': {array.dtype.str!r}, 'fortran_order': False, 'shape': {tuple(array.shape)}, }}".encode()
    header += b" " * (-(len(MAGIC) + 2 + len(header) + 1) % 64) + b"\n"
    return MAGIC + struct.pack("<H", len(header)) + header + array.tobytes()


def read_exactly(handle: int, size: int) -> bytes:
    """That many bytes from a pipe; raises EOFError where it ends before."""
    parts = []
    while size:
        part = os.read(handle, min(size, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def write_all(handle: int, data: bytes) -> None:
    """All of it into a pipe."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]

"""What a worker sent, read as data that anybody may have written: records of arrays become Answers, or are refused."""

import contextlib
import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from course_lib.exercises.answers import Answer
from course_lib.tools.grade.inside.records import LENGTH, MAGIC, MOST

_NUMBERS = rb"\|[biu]1|<[iu][248]|<f(?:2|4|8|16)|<c(?:8|16|32)|<U[1-9]\d{0,3}"
_HEADER = re.compile(
    rb"\{'descr': '(" + _NUMBERS + rb")', 'fortran_order': False, 'shape': \((\d{1,9}(?:, \d{1,9})*,?|)\), \} *\n"
)
_TYPES = ("tensor", "array", "number", "text")
_PROBLEMS = ("", "stub", "missing return", "raised", "recursion", "exit", "type", "device", "mutated", "no function")
_ARRAYS, _RECORDS, _AXES, _TEXT, _NAMES = 64, 5000, 8, 300, 500


class Refused(Exception):
    """What came is no answer; the text says why, in a few words."""


@dataclass(frozen=True)
class Received:
    """The answers to the draws, and the sentences of the properties ("" for one that holds), in order.

    names: what the exercise's slice uses; doubt: they may be changed outside of it.
    """

    answers: tuple[Answer, ...]
    properties: tuple[str, ...]
    names: frozenset[str] = frozenset()
    doubt: bool = False


def received(records: bytes) -> Received:
    """All records of one exercise; raises Refused, and nothing else, for whatever is no record of ours."""
    answers, properties, names, doubt = [], [], frozenset(), False
    with refusing():
        for number, record in enumerate(separated(records)):
            meta, arrays = unpacked(record)
            if set(meta) == {"names", "doubt"} and not arrays and not number:
                names, doubt = frozenset(text(name, 100) for name in meta["names"][:_NAMES]), bool(meta["doubt"])
            elif set(meta) == {"property"} and not arrays:
                properties.append(unsaid(text(meta["property"])))
            elif properties:
                raise Refused("an answer after the properties")
            else:
                answers.append(answer_from(meta, arrays))
    return Received(tuple(answers), tuple(properties), names, doubt)


def by_exercise(records: bytes) -> list[tuple[str, int, bytes]]:
    """The records of a run of a whole notebook: an exercise's id, which of what was measured is its, or -1, and what
    one of its answers sent, in order."""
    found: list[tuple[str, int, bytes]] = []
    with contextlib.suppress(Refused), refusing():
        for record in separated(records):
            meta, _ = unpacked(record)
            if set(meta) == {"exercise", "measured"}:
                found.append((text(meta["exercise"], 20), int(meta["measured"]), b""))
            elif found:
                id, number, sent = found[-1]
                found[-1] = (id, number, sent + LENGTH.pack(len(record)) + record)
    return found


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Whatever reading a record of somebody else's raises becomes Refused."""
    try:
        yield
    except Refused:
        raise
    except (ValueError, KeyError, TypeError, RecursionError, MemoryError, OverflowError, OSError) as error:
        raise Refused(type(error).__name__) from None


def separated(records: bytes) -> list[bytes]:
    """The records behind their lengths; the last one may be cut off, and then does not count."""
    found, at = [], 0
    while at + LENGTH.size <= len(records):
        (size,) = LENGTH.unpack_from(records, at)
        if size > MOST or len(found) == _RECORDS:
            raise Refused("too much of it")
        at += LENGTH.size
        if at + size > len(records):
            break
        found.append(records[at : at + size])
        at += size
    return found


def unpacked(record: bytes) -> tuple[dict, list[np.ndarray]]:
    """The meta data and the arrays of one .npz archive, in which nothing is compressed and nothing else stands."""
    try:
        with zipfile.ZipFile(io.BytesIO(record)) as archive:
            entries = archive.infolist()
            if [e.filename for e in entries] != ["meta.npy", *(f"a{i}.npy" for i in range(len(entries) - 1))]:
                raise Refused("other names than ours")
            if len(entries) > _ARRAYS + 1 or any(e.compress_type or e.file_size > len(record) for e in entries):
                raise Refused("an archive that is not ours")
            meta, *arrays = [array_from(archive.read(entry)) for entry in entries]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, struct.error, EOFError, OSError) as error:
        raise Refused(type(error).__name__) from None
    data = json.loads(meta.tobytes())
    if not isinstance(data, dict):
        raise Refused("no meta data")
    return data, arrays


def array_from(data: bytes) -> np.ndarray:
    """An array from the bytes of a .npy file of version 1; numbers and texts only, so that no object is made."""
    if data[: len(MAGIC)] != MAGIC or len(data) < len(MAGIC) + 2:
        raise Refused("no array")
    begin = len(MAGIC) + 2
    (size,) = struct.unpack("<H", data[len(MAGIC) : begin])
    found = _HEADER.fullmatch(data[begin : begin + size])
    if not found:
        raise Refused("an array of something else than numbers")
    dtype, shape = np.dtype(found[1].decode()), tuple(int(n) for n in found[2].decode().replace(",", " ").split())
    body = data[begin + size :]
    if len(shape) > _AXES or math.prod(shape) * dtype.itemsize != len(body):
        raise Refused("an array that is not as long as it says")
    if dtype.kind == "U" and (np.frombuffer(body, "<u4") > 0x10FFFF).any():
        raise Refused("a text of no letters")
    if dtype.kind == "b" and (np.frombuffer(body, np.uint8) > 1).any():
        raise Refused("neither true nor false")
    return np.frombuffer(body, dtype).reshape(shape).copy()


def answer_from(meta: dict, arrays: list[np.ndarray]) -> Answer:
    """An Answer whose every part is of the kind it should be."""
    if set(meta) != {"paths", "types", "problem", "detail", "container"}:
        raise Refused("other meta data than ours")
    paths, types = [text(path, 100) for path in meta["paths"]], list(meta["types"])
    if not len(paths) == len(set(paths)) == len(types) == len(arrays):
        raise Refused("names that do not fit the arrays")
    if meta["problem"] not in _PROBLEMS or (meta["problem"] not in ("", "mutated") and arrays):
        raise Refused("a problem that is none of ours")
    for kind, array in zip(types, arrays):
        alone = kind not in ("number", "text") or not array.ndim
        if kind not in _TYPES or (kind == "text") != (array.dtype.kind == "U") or not alone:
            raise Refused("types that do not fit the arrays")
    return Answer(
        dict(zip(paths, arrays)),
        dict(zip(paths, types)),
        meta["problem"],
        unsaid(text(meta["detail"])),
        text(meta["container"], 40),
    )


def text(value: object, most: int = _TEXT) -> str:
    """One line of text, of letters that can be written to a file."""
    if type(value) is not str:
        raise Refused("no text where a text is due")
    letters = value[: 4 * most].encode("utf-8", "replace").decode()
    return " ".join("".join(letter if letter.isprintable() else " " for letter in letters).split())[:most]


def unsaid(detail: str) -> str:
    """A message of a student's code without decimals, which may be a hidden input."""
    return re.sub(r"-?\d+\.\d+(?:[eE][+-]?\d+)?", "...", detail)

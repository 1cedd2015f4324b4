"""Zip files as learning systems, browsers and students make them; whatever is wrong with one is a sentence."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from course_lib.tools.grade.collected.encodings import CALLED, decoded
from course_lib.tools.grade.collected.items import FILES, Item, ignored

UTF8, UNICODE_PATH = 0x800, 0x7075  # the flag for UTF-8, the field that holds a name in UTF-8 beside an older one
MOST = 1_000_000  # files in the download of a class
NO_ZIP = "cannot be read (BadZipFile)"


class Unreadable(Exception):
    """A zip file that cannot be read; the text goes on after its name."""


def in_zip(source: Path | io.BytesIO, below: str = "", said: list[str] | None = None, most: int = MOST) -> list[Item]:
    """The files in a zip; names in it are only names. Raises Unreadable; `said` gets what was guessed."""
    archive = opened(source, most)
    entries = [entry for entry in archive.infolist() if not skipped(entry)]
    names, guess = names_of(entries)
    if said is not None and guess not in ("", "utf-8"):
        clear = f"read as {CALLED.get(guess, guess)}" if guess != "?" else "and which one is not clear: look at them"
        said.append(f"File names in the zip do not say their encoding: {clear}.")
    bad = overlapping(entries)
    return list(items(archive, entries, names, below, bad))


def opened(source: Path | io.BytesIO, most: int) -> zipfile.ZipFile:
    """The archive, with its table of contents read."""
    begin, tables = look(source, most)
    if not zipfile.is_zipfile(source):
        cut = begin == b"PK\x03\x04"
        raise Unreadable("is a zip file that is cut off: its end is missing" if cut else NO_ZIP)
    if tables > most:
        raise Unreadable(f"has more than {most:,} files")
    try:
        return zipfile.ZipFile(source)
    except Exception as error:  # zipfile raises whatever the bytes make it raise
        raise Unreadable(f"is a zip file that is damaged or cut off ({type(error).__name__})") from None


def look(source: Path | io.BytesIO, most: int) -> tuple[bytes, int]:
    """The first four bytes, and for a student's own zip how many files its table of contents may have."""
    if isinstance(source, io.BytesIO):
        data = source.getvalue()
        return data[:4], data.count(b"PK\x01\x02") if most <= FILES else 0
    with open(source, "rb") as file:
        return file.read(4), 0


def skipped(entry: zipfile.ZipInfo) -> bool:
    """Whether nobody means to hand it in: judged by the bytes of its name, before its encoding is known."""
    return any(map(ignored, entry.filename.replace("\\", "/").split("/")))


def names_of(entries: list[zipfile.ZipInfo]) -> tuple[list[str], str]:
    """The names of the files, and the encoding that was guessed for those which do not say theirs."""
    names = [entry.filename if entry.flag_bits & UTF8 else unicode_path(entry) for entry in entries]
    unsaid = [n for n, name in enumerate(names) if not name]
    texts, guess = decoded([entries[n].filename.encode("cp437", "replace") for n in unsaid])
    for n, text in zip(unsaid, texts):
        names[n] = text
    return [name.replace("\\", "/") for name in names], guess


def unicode_path(entry: zipfile.ZipInfo) -> str:
    """The name in the field that some programs add for it, if it is of this very name; else ""."""
    at, extra = 0, entry.extra  # most files have none
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        body = extra[at + 4 : at + 4 + size]
        old = zlib.crc32(entry.filename.encode("cp437", "replace"))
        if kind == UNICODE_PATH and body[:1] == b"\1" and body[1:5] == struct.pack("<L", old):
            return body[5:].decode("utf-8", "replace")
        at += 4 + size
    return ""


def overlapping(entries: list[zipfile.ZipInfo]) -> set[int]:
    """Which files share their bytes with another, which no honest zip does: each would be unpacked again."""
    order = sorted(range(len(entries)), key=lambda n: entries[n].header_offset)
    bad, end, last = set(), -1, -1
    for n in order:
        entry = entries[n]
        if entry.header_offset < end:
            bad |= {n, last}
        if entry.header_offset + entry.compress_size >= end:
            end, last = entry.header_offset + 30 + entry.compress_size, n
    return bad


def items(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], names: list[str], below: str, bad: set[int]
) -> Iterator[Item]:
    """An Item for each file, and for each folder that is listed."""
    for n, (entry, name) in enumerate(zip(entries, names)):
        broken = "The zip has overlapping files: zip the notebook again, or hand it in alone." if n in bad else ""
        link = stat.S_ISLNK(entry.external_attr >> 16)
        yield Item(below + name, entry.date_time, member(archive, entry), link, entry.file_size, broken)


def member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[int], bytes]:
    """Reads the beginning of a file in a zip that is kept open: its table of contents is read once."""

    def read(most: int) -> bytes:
        with archive.open(entry) as file:
            return file.read(most)

    return read

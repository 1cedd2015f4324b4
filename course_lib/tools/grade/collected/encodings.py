"""Texts that carry no mark of their encoding (file names in a zip, a roster): read by evidence, or not guessed.

Bytes that are valid UTF-8 are UTF-8. Else the one encoding counts in which all texts together are words that somebody
could be called: Latin letters in the right places, or runs of one East Asian script of the commonest signs.
"""

import re
import unicodedata
from collections.abc import Sequence

WESTERN = ("cp437", "cp850", "cp1252", "cp852", "cp1250")  # the first that reads as words counts
OTHERS = ("cp866", "cp1251", "shift_jis", "gb2312", "big5", "euc_kr")  # only if no other of them does
SCRIPTS = {
    "cp866": r"[Ѐ-ӿ]",
    "cp1251": r"[Ѐ-ӿ]",
    "shift_jis": r"[\u3005\u3040-\u30ff\u4e00-\u9fff\uff01-\uff5e]",
    "gb2312": r"[\u4e00-\u9fff]",
    "big5": r"[\u4e00-\u9fff]",
    "euc_kr": r"[\uac00-\ud7a3]",
}
SIGNS = "’`´·ªº–"
ENOUGH = 12
CALLED = {"shift_jis": "Shift-JIS", "gb2312": "GBK", "big5": "Big5", "euc_kr": "EUC-KR"}


def decoded(texts: Sequence[bytes], western: Sequence[str] = WESTERN) -> tuple[list[str], str]:
    """The texts and the encoding that was guessed: "" where nothing was to guess, "?" where evidence is not clear."""
    odd = [text for text in texts if not is_utf8(text)]
    encoding, guess = "utf-8", ""
    if odd:
        guess = guessed(odd, western)
        encoding = western[0] if guess == "?" else guess
    elif any(not text.isascii() for text in texts):
        guess = "utf-8"
    return [text.decode("utf-8" if is_utf8(text) else encoding, "replace") for text in texts], guess


def is_utf8(text: bytes) -> bool:
    """Whether the bytes are valid UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def guessed(texts: Sequence[bytes], western: Sequence[str] = WESTERN) -> str:
    """The name of the encoding in which all texts read as words, "?" where none or several of one kind do."""
    for name in western:
        if all(in_latin(text, name) for text in texts):
            return name
    other = [name for name in OTHERS if all(in_script(text, name) for text in texts)]
    signs = sum(byte > 0x7F for text in texts for byte in text) // 2
    if "euc_kr" in other and signs >= ENOUGH:  # so many Chinese signs would hardly all lie where Hangul does
        return "euc_kr"
    return other[0] if len(other) == 1 else "?"


def in_script(data: bytes, encoding: str) -> bool:
    """Whether all that is not ASCII is of the encoding's script, never a single sign within a Latin word."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    odd = [letter for letter in text if letter > "\x7f"]
    if any(not re.match(SCRIPTS[encoding], letter) for letter in odd):
        return False
    if encoding == "big5" and any(letter.encode("big5") >= b"\xc6\xa1" for letter in odd):
        return False  # beyond the commonest signs
    if encoding in ("cp866", "cp1251"):
        return not re.search(r"[а-яё][А-ЯЁ]|[A-Za-z][Ѐ-ӿ]|[Ѐ-ӿ][A-Za-z]", text)
    alone = re.finditer(r"(?<![^\x00-\x7f])[^\x00-\x7f](?![^\x00-\x7f])", text)
    return not any(re.search(r"[A-Za-z]", text[max(0, one.start() - 1) : one.end() + 1]) for one in alone)


def in_latin(data: bytes, encoding: str) -> bool:
    """Whether all that is not ASCII is a Latin letter (or a sign of names), and stands as in words of Latin letters."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    odd = [letter for letter in text if letter > "\x7f"]
    if any(letter not in SIGNS and not unicodedata.name(letter, "").startswith("LATIN ") for letter in odd):
        return False
    pairs = [a + b for a, b in zip(text, text[1:]) if a > "\x7f" or b > "\x7f"]
    odd_case = any(pair[0].islower() and pair[1].isupper() for pair in pairs)
    return not odd_case and not re.search(r"[^\x00-\x7f]{3}", text)

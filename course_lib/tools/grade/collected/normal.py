"""Names for comparison: two ways to store the same letters are one name, two students are not."""

import re
import unicodedata


def normal(name: str) -> str:
    """One form for accents, widths, case, spaces and joiners; only for comparison."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(letter for letter in text if unicodedata.category(letter) != "Cf").split())


def words(name: str) -> str:
    """The words of a name in alphabetical order, without punctuation: "Lee, Ann" is "Ann Lee"."""
    return " ".join(sorted(re.findall(r"[^\W_]+", _marked(normal(name)))))


def squeezed(name: str) -> str:
    """The letters alone, as Canvas writes a name into a file's."""
    return "".join(re.findall(r"[^\W_]+", _marked(normal(name))))


def _marked(name: str) -> str:
    """Signs that stand on a letter become letters, so that they part no word."""
    return "".join(f"x{ord(letter):x}" if unicodedata.category(letter)[0] == "M" else letter for letter in name)


def fit(one: str, other: str) -> bool:
    """Whether two names can be of one person: a word of the one stands in the other, also where blanks are gone."""
    first, second = squeezed(one), squeezed(other)
    return any(
        len(word) > 1 and word in text for name, text in ((one, second), (other, first)) for word in words(name).split()
    )

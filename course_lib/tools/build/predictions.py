"""Where a text asks for a prediction there is a box to write it in: a cell of the notebook, a field on the site."""

import hashlib
import re

from course_lib.tools.build.markdown import outside_fences

BOLD = re.compile(r"\*\*([^*]+)\*\*", re.DOTALL)
ASKED = re.compile(r"(Predict|Guess|Mark|Stop|Write down|Before you (look|read|run|go|move)|.*\?$)", re.DOTALL)
BOX = "**Your prediction:**"


def question(text: str) -> str:
    """The bold words of a text that ask for a prediction, or nothing; `Before you start` opens each chapter."""
    found: list[str] = []
    outside_fences(text, lambda part: found.extend(BOLD.findall(part)) or part)
    return " ".join(words for words in found if ASKED.match(words))


def field(number: int, text: str) -> str:
    """The field under a question; what is written is kept by the question's words, so a reworded one is empty."""
    key = hashlib.sha256(text.encode()).hexdigest()[:8]
    box = f'<textarea rows="2" data-prediction="{number}-{key}"></textarea>'
    return f'<label class="prediction">Your prediction {box}</label>'

"""The exercises: declarations, checks in the notebook, quizzes.

declare.py    what an exercise, a wrong answer and a quiz question are
calls.py      how a loss is called that something is trained with
draws.py      numbers and points for the inputs
registry.py   finds the declarations in chNN.py
answers.py    runs a learner's function and turns what it returns into arrays; knows no reference
comparing.py  judges arrays against the reference; meets no learner's code
portable.py   what an exercise needs where the declarations are absent
checking.py   what a notebook calls: check and fallback
quizzes.py    the questions at the end of a chapter
"""

from course_lib.exercises.checking import check, fallback
from course_lib.exercises.declare import Exercise, Question, Wrong
from course_lib.exercises.quizzes import quiz
from course_lib.exercises.registry import all_exercises, exercise, exercises

__all__ = [
    "Exercise",
    "Question",
    "Wrong",
    "all_exercises",
    "check",
    "exercise",
    "exercises",
    "fallback",
    "quiz",
]

"""Where a class is graded an exercise's own library function is absent; so it is here."""

import importlib
import sys


def without_home(exercise, monkeypatch):
    """Take the library's own function away, as where a class is graded."""
    if not exercise.home:
        return
    name, _, path = exercise.home.partition(":")
    *owners, last = path.split(".")
    owner = importlib.import_module(name)
    for part in owners:
        owner = getattr(owner, part)
    original = getattr(owner, last)

    def gone(*args, **kwargs):
        raise LookupError("home")

    monkeypatch.setattr(owner, last, gone)
    for module in [m for n, m in sys.modules.items() if n.startswith("course_lib")]:
        for alias in [a for a, value in vars(module).items() if value is original]:
            monkeypatch.setattr(module, alias, gone)

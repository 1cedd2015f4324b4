"""Grading a class: `course grade SUBMISSIONS --seed TERM --out grades/`, in the order in which a submission goes.

command.py    the command
collected/    what was handed in: submissions.py (a folder or a zip), choosing.py and notebook.py (which notebook)
outside/      trusted, before and around the wall: batch.py runs a class, plan.py holds the hidden draws of a term,
              sandbox.py, mounts.py and library.py make the wall and what is seen through it, session.py talks to a
              worker, incoming.py validates what comes out
inside/       beside the student's code, where trust ends: worker.py, answering.py, cells.py, records.py
marked/       comparer.py turns answers into marks; result.py is results/KEY.json
reported/     sheet, pages, plots, imports for gradebooks, from the results alone
rehearsed/    `course make-class`: a class whose marks are known
gradescope/   the same in Gradescope's container
"""

"""Grading a class: `course grade SUBMISSIONS --out grades/`, in the order in which a submission goes.

command.py    the command
collected/    what was handed in: items.py and archives.py (files), layout.py, naming.py and submissions.py (whose they
              are), doubts.py (where a person is asked), choosing.py and notebook.py (which notebook), voting.py (the
              chapter), encodings.py and normal.py (names)
outside/      trusted, before and around the wall: batch.py runs a class, plan.py holds the hidden draws of a term,
              seed.py makes its seed,
              sandbox.py, mounts.py and library.py make the wall and what is seen through it, session.py talks to a
              worker, incoming.py validates what comes out, attempts.py tries what may give a better mark, with
              stand_ins.py for exercises that fail
inside/       beside the student's code, where trust ends: worker.py, answering.py, records.py; cells.py, statements.py
              and ipython.py run an exercise's slice, whole.py and shell.py the whole notebook
marked/       comparer.py turns answers into marks; result.py is results/KEY.json, folder.py what they are written to
reported/     sheet, pages, plots, rosters and imports for gradebooks, from the results alone
rehearsed/    `course make-class`: a class whose marks are known; ways.py writes answers as notebooks are really written
gradescope/   the same in Gradescope's container
"""

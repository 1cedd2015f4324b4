"""Grading a class: `course grade SUBMISSIONS --seed TERM --out grades/`.

command.py      the command; batch.py runs a class, plan.py holds the hidden draws of a term
submissions.py  what lies in a folder or a zip; choosing.py and notebook.py find the notebook and its exercises
sandbox.py      bubblewrap, its limits, what it shows (mounts.py), and talking to a worker in it (session.py)
worker.py       inside: a process for each exercise; answering.py, cells.py and records.py go in with it
library.py      the course_lib that is seen inside, without the function that is asked for
incoming.py     what comes out, validated; comparer.py turns it into marks
result.py       results/KEY.json, the only thing that reports.py and its files read
make_class.py   `course make-class`: a class whose marks are known; variants.py writes its cells
"""

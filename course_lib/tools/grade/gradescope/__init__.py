"""The same grader in Gradescope's container.

build.py  `course gradescope`: the zip that is uploaded
run.py    what runs there for each submission
"""

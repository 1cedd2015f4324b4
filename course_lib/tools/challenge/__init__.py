"""`course challenge METHOD.py`: a method under a budget of network calls, scored where it cannot meet its judge.

`entries` reads method files, `boxed` runs one in the sandbox and counts outside, `scored` keeps what is finished,
`board` compares, `command` is what is typed. `methods/` are the baselines, `games/` entries that must not win.
"""

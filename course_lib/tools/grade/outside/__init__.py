"""Outside the wall: the class, the term's hidden draws, the sandbox and the talk with a worker. Trusted code only."""

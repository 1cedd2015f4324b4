"""A class that does not exist: notebooks whose marks are known, for demonstrations and tests."""

"""Tools for maintainers and instructors, behind the one console command `course`; no method lives here."""

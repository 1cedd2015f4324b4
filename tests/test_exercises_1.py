"""The exercises of every sixth chapter: see each_exercise.py."""

from tests.each_exercise import *  # noqa: F403
from tests.each_exercise import pytest_generate_tests as pytest_generate_tests

PART = 1

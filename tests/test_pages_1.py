"""Every second page of the site: see each_page.py."""

from tests.each_page import *  # noqa: F403
from tests.each_page import pytest_generate_tests as pytest_generate_tests

PART = 1

"""Inside the sandbox: cells run as IPython runs them, but nothing is drawn, installed or asked of a shell."""

import contextlib
import re
import sys

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import SList
from traitlets.config import Config

# Magics that would install, run a shell, load what is not here, draw, or wait for somebody.
SILENT = "pip conda mamba micromamba uv load_ext reload_ext matplotlib pylab gui debug pdb edit load system sx"
SHELLS = "bash sh script perl ruby python python2 python3 pypy cmd"


class Shell(InteractiveShell):
    """IPython without a terminal, a history and a shell; what a cell raises ends that cell and no other."""

    @classmethod
    def fresh(cls, names: dict) -> "Shell":
        """The one shell of this process, its user's names being these."""
        settings = Config()
        settings.HistoryManager.enabled = False
        InteractiveShell.clear_instance()  # whichever kind it was
        cls.clear_instance()
        shell = cls.instance(config=settings, user_ns=names)
        for name in SILENT.split():
            shell.register_magic_function(_nothing, "line", name)
        for name in SHELLS.split():
            shell.register_magic_function(_nothing, "line_cell", name)
        shell.register_magic_function(shell.timed_once, "line_cell", "timeit")
        return shell

    def cell(self, source: str) -> BaseException | None:
        """Run one cell, and close its figures; what it raised."""
        done = self.run_cell(source)
        if "matplotlib.pyplot" in sys.modules:
            with contextlib.suppress(Exception):
                sys.modules["matplotlib.pyplot"].close("all")
        return done.error_before_exec or done.error_in_exec

    def timed_once(self, line: str, cell: str | None = None):
        """%timeit, with a single run instead of as many as fill a second."""
        options = "-n1 -r1 " + re.sub(r"(^|\s)-[nr]\s*\d+", " ", line)
        return self.magics_manager.registry["ExecutionMagics"].timeit(options.strip(), cell)

    def run_line_magic(self, magic_name, line, _stack_depth=1):
        """A magic that is not here does nothing."""
        if self.find_line_magic(magic_name) is None:
            return None
        return super().run_line_magic(magic_name, line, _stack_depth=_stack_depth + 1)

    def run_cell_magic(self, magic_name, line, cell):
        """A magic that is not here runs its cell."""
        if self.find_cell_magic(magic_name) is None and self.find_line_magic(magic_name) is None:
            return self.run_cell(cell)
        return super().run_cell_magic(magic_name, line, cell)

    def system(self, cmd):
        """`!cmd` succeeds."""
        self.user_ns["_exit_code"] = 0

    system_raw = system_piped = system

    def getoutput(self, cmd, split=True, depth=0):
        """`x = !cmd` is one empty line."""
        return SList([""]) if split else ""

    def set_next_input(self, s, replace=False):
        """There is no next input."""

    def showtraceback(self, *args, **options):
        """Nobody reads it."""

    showsyntaxerror = showtraceback


def _nothing(line: str, cell: str | None = None) -> None:
    """A magic without effect."""

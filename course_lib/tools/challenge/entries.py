"""Method files: where the shipped ones are, and what a file must be to be one."""

import ast
from collections.abc import Callable
from pathlib import Path

from course_lib.tools.environment import Problem

HERE = Path(__file__).parent
BASELINE = "independent"
MOST = 20_000  # bytes of a method file: enough for a method, too few for a collection of pictures


def shipped() -> dict[str, Path]:
    """The baselines and the games by name, independent sampling first."""
    found = [path for folder in ("methods", "games") for path in sorted((HERE / folder).glob("*.py"))]
    return {path.stem: path for path in sorted(found, key=lambda path: path.stem != BASELINE)}


def source(path: Path) -> str:
    """The text of a method file; raises Problem where it is none, is too long or defines no function `method`."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
        tree = ast.parse(text)
    except OSError as error:
        raise Problem(f"{path.name} cannot be read ({error.strerror})") from None
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise Problem(f"{path.name} is no Python ({type(error).__name__})") from None
    if len(data) > MOST:
        raise Problem(f"{path.name} has {len(data):,} bytes, a method file at most {MOST:,}")
    if not any(isinstance(node, ast.FunctionDef) and node.name == "method" for node in tree.body):
        raise Problem(f"{path.name} defines no function `method(prompted, unprompted, x, levels, strength)`")
    return text


def loaded(path: Path) -> Callable:
    """The function of a shipped method file, run in this process; for files of others there is the sandbox."""
    names: dict = {"__name__": path.stem}
    exec(compile(source(path), str(path), "exec"), names)
    return names["method"]

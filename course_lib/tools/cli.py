"""The console command `course`: one parser, one subcommand a tool."""

import argparse
import importlib
import pkgutil
import runpy
import sys
from pathlib import Path

TOOLS = Path(__file__).parent


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; the value is the exit status."""
    parsed = parser().parse_args(arguments)
    return parsed.run(parsed) or 0


def parser() -> argparse.ArgumentParser:
    """All subcommands; a new one is a line in `commands.add_parser` and a function."""
    top = argparse.ArgumentParser(prog="course", description="Build and check the course.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="masters to notebooks, solutions and the site")
    add_build_arguments(build)
    build.set_defaults(run=run_build)
    stored = commands.add_parser("precompute", help="make the stored results of a long computation again")
    stored.add_argument("name", choices=scripts(), metavar="NAME", help=", ".join(scripts()) or "none yet")
    stored.set_defaults(run=run_precompute)
    environment = commands.add_parser("check-env", help="what this machine has of what the course needs")
    environment.set_defaults(run=run_check_env)
    return top


def add_build_arguments(build: argparse.ArgumentParser) -> None:
    """What `course build` can be told; here, so that the other commands need nothing of the builder's."""
    build.add_argument("masters", nargs="*", metavar="MASTER", help="book/NN_topic.md, with --check or --format")
    build.add_argument("--check", action="store_true", help="write nothing, fail where a notebook is stale")
    build.add_argument("--format", action="store_true", help="lay out the cells of masters as ruff does")
    build.add_argument("--notebooks-only", action="store_true", help="write notebooks/ and solutions/, run nothing")
    build.add_argument("--chapter", type=int, help="check, write and run this chapter only")
    build.add_argument("--jobs", type=int, default=2, help="chapters that run at the same time, one thread each")
    build.add_argument("--root", type=Path, default=Path.cwd(), help="the checkout (default: here)")


def scripts() -> list[str]:
    """The names in course_lib/tools/precompute/."""
    return [module.name for module in pkgutil.iter_modules([str(TOOLS / "precompute")])]


def run_build(parsed: argparse.Namespace) -> int:
    try:
        command = importlib.import_module("course_lib.tools.build.command")
    except ModuleNotFoundError as error:
        print(f"`course build` needs {error.name}: pip install 'diverse-diffusion[book]'", file=sys.stderr)
        return 1
    return command.main(parsed)


def run_precompute(parsed: argparse.Namespace) -> int:
    runpy.run_path(str(TOOLS / "precompute" / f"{parsed.name}.py"), run_name="__main__")
    return 0


def run_check_env(parsed: argparse.Namespace) -> int:
    return importlib.import_module("course_lib.tools.check_env").main()


if __name__ == "__main__":
    sys.exit(main())

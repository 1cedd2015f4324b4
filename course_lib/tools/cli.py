"""The console command `course`: one parser, one subcommand a tool."""

import argparse
import importlib
import os
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
    paper = commands.add_parser("pdf", help="the built site as a book on paper, and slides of the workshop chapters")
    paper.add_argument("--out", type=Path, default=Path("_build/pdf"), help="a folder (default: _build/pdf)")
    paper.add_argument("--root", type=Path, default=Path.cwd(), help="the checkout (default: here)")
    paper.set_defaults(run=run_pdf)
    stored = commands.add_parser("precompute", help="make the stored results of a long computation again")
    stored.add_argument("name", choices=scripts(), metavar="NAME", help=", ".join(scripts()) or "none yet")
    stored.set_defaults(run=run_precompute)
    tiny = commands.add_parser("train-tiny", help="train the shipped small Stable Diffusion from nothing")
    add_tiny_arguments(tiny)
    tiny.set_defaults(run=run_train_tiny)
    style = commands.add_parser("train-style", help="train the style classifier for the latents of a model")
    add_style_arguments(style)
    style.set_defaults(run=run_train_style)
    get = commands.add_parser("get", help="download a model of the registry, for instance sd2")
    get.add_argument("name", metavar="NAME", help="its name in the table of book/models.md")
    get.set_defaults(run=run_get)
    made = commands.add_parser("make-class", help="a class of made-up student notebooks whose marks are known")
    add_class_arguments(made)
    made.set_defaults(run=run_make_class)
    grade = commands.add_parser("grade", help="grade a class: a folder or a download of Moodle or Canvas")
    add_grade_arguments(grade)
    grade.set_defaults(run=run_grade)
    scope = commands.add_parser("gradescope", help="the same grader as an autograder for Gradescope")
    add_gradescope_arguments(scope)
    scope.set_defaults(run=run_gradescope)
    evaluate = commands.add_parser("evaluate", help="make and measure the pictures of a protocol: thesis, tiny, ...")
    add_evaluate_arguments(evaluate)
    evaluate.set_defaults(run=run_evaluate)
    challenge = commands.add_parser("challenge", help="score a method file on hidden prompts, and write the board")
    add_challenge_arguments(challenge)
    challenge.set_defaults(run=run_challenge)
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


def add_tiny_arguments(tiny: argparse.ArgumentParser) -> None:
    """What `course train-tiny` can be told."""
    tiny.add_argument("--work", type=Path, default=Path("_build/tiny"), help="checkpoints and log; taken up again")
    tiny.add_argument("--out", type=Path, default=Path("_build/tiny/folder"), help="where the finished model goes")
    tiny.add_argument("--device", help="cuda or cpu (default: a GPU where there is one)")
    tiny.add_argument("--scale", type=float, default=1.0, help="multiplies the steps of every part (default 1)")
    tiny.add_argument("--only", help="train no further than this part")


def add_style_arguments(style: argparse.ArgumentParser) -> None:
    """What `course train-style` can be told."""
    style.add_argument("--model", default="tiny", help="what StableDiffusion.load takes (default tiny)")
    style.add_argument("--artists", type=Path, metavar="FILE", help="one name a line; tiny has styles of its own")
    style.add_argument("--subjects", type=Path, metavar="FILE", help="one a line: prompts are SUBJECT by ARTIST")
    style.add_argument("--seeds", type=int, default=1, help="pictures of each prompt (default 1)")
    style.add_argument("--levels", type=int, default=20, help="steps a picture takes (default 20)")
    style.add_argument("--w", type=float, default=8.0, help="guidance weight of the pictures (default 8)")
    style.add_argument("--steps", type=int, default=8000, help="training steps of 64 latents (default 8000)")
    style.add_argument("--work", type=Path, default=Path("_build/style"), help="what is under way; taken up again")
    style.add_argument("--out", type=Path, required=True, help="the file to write, NAME.safetensors")
    style.add_argument("--device", help="cuda or cpu (default: a GPU where there is one)")


def add_evaluate_arguments(evaluate: argparse.ArgumentParser) -> None:
    """What `course evaluate` can be told."""
    known = "thesis, afternoon, strips, tiny, tiny-1000"
    evaluate.add_argument("protocol", metavar="PROTOCOL", nargs="?", help=f"{known}, or a file of your own")
    evaluate.add_argument("--store", type=Path, metavar="FOLDER", help="keep a finished run for the chapters to show")
    evaluate.add_argument("--out", type=Path, help="the run's folder, taken up again (default: evaluation/PROTOCOL)")
    evaluate.add_argument("--device", help="cuda, cuda:1, cpu, mps (default: a GPU where there is one)")
    evaluate.add_argument("--chunk", type=int, help="pictures at once in a network (default: what fits; then kept)")
    evaluate.add_argument("--clip", type=Path, metavar="FOLDER", help="a CLIP model as transformers saves it")
    evaluate.add_argument("--style", type=Path, metavar="FILE", help="a style classifier of `course train-style`")


def add_challenge_arguments(challenge: argparse.ArgumentParser) -> None:
    """What `course challenge` can be told."""
    challenge.add_argument("methods", type=Path, nargs="*", metavar="METHOD.py", help="files that define `method`")
    challenge.add_argument("--board", type=Path, metavar="FOLDER", help="all the method files in a folder")
    challenge.add_argument("--seed", metavar="TERM", help="decides the hidden prompts (default: those of practice)")
    challenge.add_argument("--out", type=Path, default=Path("challenge"), help="scores and board (default: challenge)")
    challenge.add_argument("--groups", type=int, default=12, help="prompts, at least 8 (default 12)")
    challenge.add_argument("--seconds", type=float, default=20.0, help="own computing for a prompt (default 20)")
    challenge.add_argument("--no-sandbox", action="store_true", help="run the files with your own rights")


def add_class_arguments(made: argparse.ArgumentParser) -> None:
    """What `course make-class` can be told."""
    made.add_argument("--chapter", type=int, required=True, help="the chapter whose notebook they hand in")
    made.add_argument("--students", type=int, default=300, help="how many (default 300)")
    made.add_argument("--seed", default="1", help="any word: another word, another class")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    made.add_argument("--root", type=Path, default=Path.cwd(), help="the checkout (default: here)")


def add_grade_arguments(grade: argparse.ArgumentParser) -> None:
    """What `course grade` can be told."""
    grade.add_argument("submissions", type=Path, metavar="SUBMISSIONS", help="a folder, or a zip of Moodle or Canvas")
    grade.add_argument("--seed", metavar="TERM", help="decides the hidden inputs of the term (default: one is made)")
    grade.add_argument("--out", type=Path, required=True, help="where results, grade sheet and feedback go")
    grade.add_argument("--chapter", type=int, help="default: the chapter of most notebooks")
    whose = ("folder", "file", "one")
    grade.add_argument("--students", choices=whose, default="", help="what is one student's, where it is not clear")
    grade.add_argument("--jobs", type=int, default=2, help="submissions that run at the same time (default 2)")
    grade.add_argument("--seconds", type=float, default=20.0, help="computing time for one exercise (default 20)")
    grade.add_argument("--sheet", type=Path, metavar="FILLED", help="a grades.csv with marks given by hand")
    grade.add_argument("--roster", type=Path, help="Canvas' exported gradebook or Moodle's grading worksheet")
    grade.add_argument("--title", default="", help="the assignment's column in Canvas")
    grade.add_argument("--no-words", action="store_true", help="leave exercises in words out of the sums")
    way = grade.add_mutually_exclusive_group()
    way.add_argument("--no-sandbox", action="store_true", help="run students' code with your own rights")
    way.add_argument("--as-user", default="", metavar="NAME", help="without bubblewrap: run it as this user")


def add_gradescope_arguments(scope: argparse.ArgumentParser) -> None:
    """What `course gradescope` can be told."""
    scope.add_argument("--chapter", type=int, required=True)
    scope.add_argument("--seed", metavar="TERM", help="decides the hidden inputs (default: one is made)")
    scope.add_argument("--out", type=Path, default=Path("autograder.zip"), help="default: autograder.zip")
    when = ("visible", "after_due_date", "after_published", "hidden")
    scope.add_argument("--visibility", choices=when, default="visible", help="when students see results")
    scope.add_argument("--root", type=Path, default=Path.cwd(), help="the checkout (default: here)")


def scripts() -> list[str]:
    """The names in course_lib/tools/precompute/."""
    return [module.name for module in pkgutil.iter_modules([str(TOOLS / "precompute")])]


def run_with_extra(name: str, module: str, extra: str, parsed: argparse.Namespace) -> int:
    """Run a command whose packages come with an extra, or say which one is missing."""
    try:
        command = importlib.import_module(module)
    except ModuleNotFoundError as error:
        print(f"`course {name}` needs {error.name}: pip install 'diverse-diffusion[{extra}]'", file=sys.stderr)
        return 1
    return command.main(parsed)


def run_build(parsed: argparse.Namespace) -> int:
    return run_with_extra("build", "course_lib.tools.build.command", "book", parsed)


def run_pdf(parsed: argparse.Namespace) -> int:
    return run_with_extra("pdf", "course_lib.tools.paper", "test", parsed)


def run_precompute(parsed: argparse.Namespace) -> int:
    os.environ["COURSE_DEVICE"] = "cpu"  # as what is stored was computed
    runpy.run_path(str(TOOLS / "precompute" / f"{parsed.name}.py"), run_name="__main__")
    return 0


def run_train_tiny(parsed: argparse.Namespace) -> int:
    return run_with_extra("train-tiny", "course_lib.tools.train_tiny.command", "sd", parsed)


def run_train_style(parsed: argparse.Namespace) -> int:
    return run_with_extra("train-style", "course_lib.tools.train_style.command", "sd", parsed)


def run_evaluate(parsed: argparse.Namespace) -> int:
    return run_with_extra("evaluate", "course_lib.tools.evaluate.command", "sd", parsed)


def run_challenge(parsed: argparse.Namespace) -> int:
    return run_with_extra("challenge", "course_lib.tools.challenge.command", "sd", parsed)


def run_get(parsed: argparse.Namespace) -> int:
    return importlib.import_module("course_lib.tools.get").main(parsed.name)


def run_make_class(parsed: argparse.Namespace) -> int:
    return importlib.import_module("course_lib.tools.grade.rehearsed.make_class").main(parsed)


def run_grade(parsed: argparse.Namespace) -> int:
    return importlib.import_module("course_lib.tools.grade.command").main(parsed)


def run_gradescope(parsed: argparse.Namespace) -> int:
    return importlib.import_module("course_lib.tools.grade.gradescope.build").main(parsed)


def run_check_env(parsed: argparse.Namespace) -> int:
    return importlib.import_module("course_lib.tools.check_env").main()


if __name__ == "__main__":
    sys.exit(main())

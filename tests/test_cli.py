"""The console command: what it offers, and what it says where something is missing."""

import subprocess
import sys

import pytest

from course_lib.tools import check_env, cli


def test_every_tool_is_a_subcommand(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    told = capsys.readouterr().out
    assert all(name in told for name in ("build", "precompute", "check-env"))


def test_precompute_runs_the_script_of_that_name(tmp_path, monkeypatch, capsys):
    (tmp_path / "precompute").mkdir()
    (tmp_path / "precompute" / "long.py").write_text('if __name__ == "__main__":\n    print("computed")\n')
    monkeypatch.setattr(cli, "TOOLS", tmp_path)
    assert cli.main(["precompute", "long"]) == 0
    assert capsys.readouterr().out == "computed\n"


def test_precompute_knows_its_scripts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "TOOLS", tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["precompute", "nothing"])
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


def test_build_names_the_extra_that_is_missing(monkeypatch, capsys):
    def absent(name):
        raise ModuleNotFoundError("no", name="nbclient")

    monkeypatch.setattr(cli.importlib, "import_module", absent)
    assert cli.main(["build"]) == 1
    assert capsys.readouterr().err == "`course build` needs nbclient: pip install 'diverse-diffusion[book]'\n"


def test_the_parser_needs_nothing_of_the_builder():
    """`course check-env` must work where only the library is installed."""
    script = "import sys; from course_lib.tools.cli import parser; parser(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"nbformat", "nbclient", "yaml", "torch"} & set(modules)


def test_check_env_says_what_is_there(capsys):
    assert cli.main(["check-env"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok         Python 3.")
    assert any(line.startswith("ok         torch ") for line in lines)
    assert lines[-1] == "The course runs here."


def test_check_env_fails_without_a_package_that_chapters_need(monkeypatch, capsys):
    monkeypatch.setattr(check_env, "NEEDED", ("torch", "a-package-nobody-has"))
    assert cli.main(["check-env"]) == 1
    assert "-          a-package-nobody-has: missing" in capsys.readouterr().out

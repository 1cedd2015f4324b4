"""The repository itself: packaging, layout, fences between modules, addresses, sizes."""

import ast
import fnmatch
import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
NOT_OURS = {
    ".git",
    ".venv",
    ".cache",
    "_build",
    "__pycache__",
    ".pytest_cache",
    ".ruff_cache",
    ".ipynb_checkpoints",
    "vendor",
}
FORBIDDEN = {"torchvision", "torch-fidelity", "clean-fid", "timm"}  # all need torchvision

# What each module of the library may import of the library, besides `checks`; those not named are leaves.
ARROWS = {
    "samplers": {"denoisers"},
    "guidance": {"denoisers", "metrics"},
    "manifolds": {"denoisers"},
    "constraints": {"denoisers", "samplers"},
    "training": {"denoisers"},
    "penalties": {"denoisers"},
    "dimension": {"denoisers"},
    "prompted": {"denoisers", "memory", "seeds"},
    "stable_diffusion": {"denoisers", "memory", "models", "prompted", "samplers"},
    "flow_matching": {"denoisers"},
    "flow_pipelines": {"denoisers", "flow_matching", "memory", "models", "prompted", "samplers"},
    "rivals": {"denoisers", "samplers", "training"},
    "seedselect": {"denoisers", "samplers"},
    "claims": {"metrics", "verdicts"},
    "verdicts": {"metrics"},
    "evaluations": {"claims"},
    "features": {"models", "world"},
    "world": {"shapes"},
    "models": {"weights"},
    "unet": {"denoisers"},
    "small_pictures": {"claims", "world"},
    "fit": {"small_pictures", "world"},
    "challenge": {"denoisers", "features", "metrics", "world"},
}
COMMON = {"checks", "devices"}  # leaves that every module may use
FENCES = {
    "diffusers": {"stable_diffusion", "flow_pipelines", "models", "features"},
    "transformers": {"stable_diffusion", "flow_pipelines", "models", "features"},
    "peft": {"training"},
    "matplotlib": {"plots"},
}


@cache
def files() -> tuple[Path, ...]:
    """Every file a clone has, without what is built or vendored."""
    found = []
    for folder, inside, names in os.walk(ROOT):
        skipped = NOT_OURS | ({"build", "dist"} if Path(folder) == ROOT else set())
        inside[:] = sorted(n for n in inside if n not in skipped and not n.endswith(".egg-info"))
        found += [Path(folder) / name for name in sorted(names)]
    return tuple(found)


def named(*patterns: str) -> list[Path]:
    """The files whose path from the root fits one of the patterns."""
    return [p for p in files() if any(fnmatch.fnmatch(p.relative_to(ROOT).as_posix(), one) for one in patterns)]


def texts() -> dict[str, str]:
    """Every text of ours by its path from the root."""
    binary = {".npz", ".safetensors", ".png", ".webp", ".woff", ".woff2", ".pyc", ".ico"}
    return {p.relative_to(ROOT).as_posix(): p.read_text("utf-8") for p in files() if p.suffix not in binary}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements() -> list[Requirement]:
    extras = project()["optional-dependencies"].values()
    return [Requirement(line) for line in [*project()["dependencies"], *(line for extra in extras for line in extra)]]


def constraints() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), "constraints.txt has name==version lines only"
    return {canonical(name): version for name, version in (line.split("==") for line in lines)}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def config() -> dict:
    return yaml.safe_load((ROOT / "_config.yml").read_text())


def test_requirements_have_lower_bounds_only():
    for requirement in requirements():
        signs = {specifier.operator for specifier in requirement.specifier}
        assert signs == ({">=", "<"} if requirement.name == "jupyter-book" else {">="}), str(requirement)


def test_constraints_pin_every_requirement_to_a_version_it_allows():
    pinned = constraints()
    for requirement in requirements():
        version = pinned.get(canonical(requirement.name))
        assert version, f"constraints.txt does not pin {requirement.name}"
        assert requirement.specifier.contains(version), f"{requirement} excludes {version} of constraints.txt"


def test_no_torchvision_and_nothing_that_needs_it():
    names = set(constraints()) | {canonical(requirement.name) for requirement in requirements()}
    assert not names & FORBIDDEN


def test_environment_yml_installs_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    extras = ",".join(name for name in project()["optional-dependencies"] if name != "maps")  # for one script only
    assert environment["dependencies"][0] == "python=3.11"
    assert environment["dependencies"][-1] == {"pip": ["-c constraints.txt", f"-e .[{extras}]"]}
    assert f'EXTRAS = "{extras}"' in (ROOT / "course_lib/tools/environment.py").read_text()
    assert project()["requires-python"] == ">=3.11"


def test_data_files_are_packaged():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["course_lib"]
    patterns = [pattern.replace("**/", "") for pattern in patterns]
    for path in named("course_lib/*"):
        inside = path.relative_to(ROOT / "course_lib").as_posix()
        assert path.suffix == ".py" or any(fnmatch.fnmatch(inside, one) for one in patterns), f"{inside} is left out"


def in_a_fresh_interpreter(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def modules() -> list[str]:
    """Every module's dotted name; scripts that compute something when they run are not imported."""
    paths = [p.relative_to(ROOT) for p in named("course_lib/*.py") if "precompute" not in p.parts]
    return [".".join(p.with_suffix("").parts).removesuffix(".__init__") for p in paths]


def test_everything_imports_in_a_fresh_interpreter():
    ours = "\n".join(f"import {name}" for name in modules())
    theirs = "from transformers import CLIPModel\nfrom diffusers import StableDiffusionPipeline\nimport peft\n"
    broken = "try:\n    import torchvision\nexcept ModuleNotFoundError:\n    pass\n"
    in_a_fresh_interpreter(f"{ours}\n{theirs}{broken}")


def test_the_library_imports_without_the_extras():
    """As in Colab, where only the base requirements are certain; nothing heavy is imported on the way either."""
    names = [n for n in modules() if ".tools" not in n and n.split(".")[-1] not in ("stable_diffusion", "features")]
    blocked = ["diffusers", "transformers", "peft", "accelerate", "jupytext", "nbformat", "yaml", "pytest"]
    code = f"import sys\nfor name in {blocked}: sys.modules[name] = None\n"
    in_a_fresh_interpreter(code + "\n".join(f"import {name}" for name in names))


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write imports in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def library() -> dict[Path, str]:
    """Files of the library, each with its module: metrics/entropy.py belongs to metrics."""
    found = {p: p.relative_to(ROOT / "course_lib").parts[0].removesuffix(".py") for p in named("course_lib/*.py")}
    return {path: module for path, module in found.items() if module != "__init__"}


@pytest.mark.parametrize("package", FENCES)
def test_fence(package):
    for path, module in library().items():
        used = {name.split(".")[0] for name in imports(path)}
        assert package not in used or module in {*FENCES[package], "tools"}, f"{path.name} imports {package}"


def test_arrows_between_modules_point_one_way():
    for path, module in library().items():
        used = {name.split(".")[1] for name in imports(path) if name.startswith("course_lib.")} - {module}
        if module == "exercises":
            assert "tools" not in used, f"{path.name} imports the tools"
        elif module != "tools":
            assert used <= ARROWS.get(module, set()) | COMMON, f"{path.name} imports {used - ARROWS.get(module, set())}"


def test_the_package_is_a_map_without_re_exports():
    assert not imports(ROOT / "course_lib" / "__init__.py")


def test_functions_and_method_files_can_be_held_in_the_head():
    for path in named("course_lib/*.py", "tests/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.lineno + 1
                assert lines <= 45, f"{path.name}: {node.name} has {lines} lines: split it"
    for path, module in library().items():
        if module not in ("exercises", "tools"):
            lines = len(path.read_text("utf-8").splitlines())
            assert lines <= 260, f"{path.name} has {lines} lines: split it"


def notebooks() -> dict[str, dict]:
    paths = named("notebooks/*.ipynb", "solutions/*.ipynb")
    return {path.relative_to(ROOT).as_posix(): json.loads(path.read_text("utf-8")) for path in paths}


def test_notebooks_carry_no_images_and_students_no_outputs():
    assert notebooks()
    for name, notebook in notebooks().items():
        for cell in notebook["cells"]:
            outputs = cell.get("outputs", [])
            kinds = {kind for output in outputs for kind in output.get("data", {})}
            assert not any(kind.startswith("image/") for kind in kinds), f"{name} has a picture"
            assert not cell.get("attachments"), f"{name} has an attachment"
            assert not (outputs and name.startswith("notebooks/")), f"{name} has outputs"


HUB = re.compile(
    r"""["'](?:stabilityai|sd2-community|runwayml|CompVis|openai|laion|facebook|google|timm|hf-internal-testing)/[\w.-]+["']"""
    r"""|(?:from_pretrained|snapshot_download|hf_hub_download)\(\s*["'][\w.-]+/[\w.-]+["']"""
)


def test_models_are_named_in_the_registry_only():
    for name, text in texts().items():
        if name.startswith(("course_lib/", "book/", "notebooks/", "solutions/")) and name != "course_lib/models.py":
            assert not HUB.search(text.replace('\\"', '"')), f"{name} names a model on a hub: ask the registry for it"


def test_one_public_address():
    """_config.yml has it; the files that must repeat it agree, and no other file does."""
    url, site = config()["repository"]["url"], config()["html"]["baseurl"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["repository-code"] == project()["urls"]["Repository"] == url
    assert citation["url"] == project()["urls"]["Documentation"] == site
    may_repeat = {"_config.yml", "CITATION.cff", "pyproject.toml", "README.md"}
    owner = url.split("/")[-2]
    for path, text in texts().items():
        found = set(re.findall(rf"https?://[\w./-]*{owner}[\w./-]*", text))
        if path.startswith(("notebooks/", "solutions/")):
            continue  # derived from _config.yml by the builder, compared by `course build --check`
        assert not found or path in may_repeat, f"{path} repeats the address: {found}"
        known = (url, site.rstrip("/"))
        assert all(one.startswith(known) for one in found), f"{path} has another address: {found}"


MACHINE = re.compile(r"(?<![\w./-])/(?:root|home|Users|work|tmp/w)/\w")
INDEX = re.compile(r"(?:index-url|INDEX_URL|find-links)[ =]+(?!https://download\.pytorch\.org/whl/cpu\b)\S+")


def test_no_machine_paths_and_no_package_index_but_pytorchs():
    for name, text in texts().items():
        if name != "tests/test_repository.py":
            assert not MACHINE.search(text), f"{name} has a path of somebody's machine: {MACHINE.search(text)[0]}"
            assert not INDEX.search(text), f"{name} names a package index: {INDEX.search(text)[0]}"


def test_size():
    folders = (ROOT / "book/_static/vendor", ROOT / "tests/vendor")
    vendored = [p for folder in folders for p in folder.rglob("*") if p.is_file()]
    weights = named("*.safetensors", "*.npz", "*.pt", "*.bin", "course_lib/results/*", "course_lib/tiny/*")
    assert sum(path.stat().st_size for path in {*weights, *vendored}) < 30e6
    for path in files():
        assert path in weights or path.stat().st_size < 1e6, f"{path.name} is over 1 MB"


def test_vendored_scripts_are_what_they_were():
    from course_lib.tools.vendor import FOR_TESTS, VENDOR, checksums

    for folder in (VENDOR, FOR_TESTS):
        assert (folder / "SHA256SUMS").read_text() == checksums(folder)
    assert {path.parent.name for path in VENDOR.rglob("LICENSE")} == {"mathjax"}
    assert {path.parent.name for path in FOR_TESTS.rglob("LICENSE")} == {"axe"}


def test_stored_results_have_checksums():
    folder = ROOT / "course_lib" / "results"
    lines = (folder / "SHA256SUMS").read_text().splitlines() if (folder / "SHA256SUMS").exists() else []
    assert {line.split()[1] for line in lines} == {path.name for path in folder.glob("*.npz")}


def test_citation_and_version_agree():
    import course_lib

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "date-released"} <= set(citation)
    version = project()["version"]
    assert citation["version"] == version == course_lib.__version__
    assert f"course@v{version}" in (ROOT / "README.md").read_text()
    assert f"Version {version}" in (ROOT / "book/cite.md").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_notebooks_belong_to_the_release_and_to_no_branch():
    tag = f"v{project()['version']}"
    branch = config()["repository"]["branch"]
    for name, notebook in notebooks().items():
        badge, first = ("".join(cell["source"]) for cell in notebook["cells"][:2])
        assert f"/blob/{tag}/notebooks/" in badge, name
        assert f"@{tag}" in first, name
        assert f"/blob/{branch}/" not in badge, name
        assert f"@{branch}" not in first, name


def targets() -> set[str]:
    return set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["tests", "site", "weekly"])
def test_workflow(name):
    workflow = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
    assert workflow[True], "it says when to run"  # YAML reads the key `on` as True
    assert workflow["permissions"], "it says what it may do"
    for job in workflow["jobs"].values():
        assert job["runs-on"].startswith("ubuntu")
        assert job["timeout-minutes"] <= 90
        commands = "\n".join(step.get("run", "") for step in job["steps"])
        assert set(re.findall(r"\bmake (\w+)", commands)) <= targets()
        setups = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/setup-python")]
        assert all(setup["python-version"] in ("3.11", "${{ steps.colab.outputs.python }}") for setup in setups)


def test_ci_runs_the_readmes_test_command():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()
    readme = (ROOT / "README.md").read_text()
    assert (
        set(re.findall(r"^make (\w+)", readme, re.MULTILINE))
        == {"book", "test", "lab", "serve", "lint", "clean"}
        <= targets()
    )
    assert len(readme.splitlines()) < 120


def test_readmes_example_runs():
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    in_a_fresh_interpreter(example + "\nassert x.shape == (10, 2) and x.isfinite().all()")


def test_no_unfinished_work():
    word = re.compile(r"\b(TODO|FIXME|XXX)\b|pytest\.(skip|xfail|mark\.(skip|xfail))|time\.sleep\(")
    for name, text in texts().items():
        if name.endswith((".py", ".md", ".yml", ".toml", ".ipynb")) and name != "tests/test_repository.py":
            assert not word.search(text), f"{name}: {word.search(text)[0]}"


def test_pages_of_the_table_of_contents_exist():
    from course_lib.tools.build.project import Project

    for page in Project(ROOT).toc:
        assert page == "book/ledger" or (ROOT / f"{page}.md").is_file(), f"book/_toc.yml names {page}"

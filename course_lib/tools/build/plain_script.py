"""One plain script from modules: pages that are opened as files may not load modules."""

import re
from pathlib import Path

MODULES = ("plane", "controls", "playground")  # each needs only those before it
WHOLE = "whole.js"
NAMES = re.compile(r'^import (?P<names>\{[^}]*\}) from "\./(?P<module>\w+)\.js";$', re.MULTILINE)
ALL = re.compile(r'^import \* as (?P<name>\w+) from "\./(?P<module>\w+)\.js";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:const|function|class) (\w+))", re.MULTILINE)


def joined(modules: dict[str, str]) -> str:
    """The texts of modules by name, in order, as one script that leaves no names behind."""
    parts = []
    for name, text in modules.items():
        text = NAMES.sub(r"const \g<names> = module_\g<module>;", text)
        text = ALL.sub(r"const \g<name> = module_\g<module>;", text)
        names = ", ".join(EXPORT.findall(text))
        parts.append(f"const module_{name} = (() => {{\n{EXPORT.sub('', text)}\nreturn {{ {names} }};\n}})();\n")
    return f"(() => {{\n{''.join(parts)}}})();\n"


def make_plain_script(folder: Path) -> None:
    """Beside the playground's modules below a site's folder the same as one script, where there is a playground."""
    place = folder / "_static" / "playground"
    if place.is_dir():
        texts = {name: (place / f"{name}.js").read_text(encoding="utf-8") for name in MODULES}
        (place / WHOLE).write_text(joined(texts), encoding="utf-8")

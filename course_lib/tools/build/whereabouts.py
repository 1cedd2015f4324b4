"""The files by which a site is found and carried: front page, sitemap, robots, the page for wrong addresses, a zip."""

import posixpath
import re
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from course_lib.tools.build.project import Project

ZIP = "diverse-diffusion-site.zip"
ADDRESS = re.compile(r'(?P<name>\b(?:href|src|action))="(?P<url>[^"]*)"')
STORED = {".png", ".webp", ".woff", ".woff2", ".pf_fragment", ".pf_index", ".pagefind"}  # compressed already

# Wrong addresses lie at any depth, so links need a base: the published folder, or the root of another server.
LOST = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<title>Not found · {title}</title>
<base href="{base}" />
<script>
const base = document.querySelector("base");
if (location.protocol === "file:") base.href = "./";
else if (!location.pathname.startsWith("{base}")) base.href = "/";
</script>
<style>
body {{ max-width: 34rem; margin: 12vh auto; padding: 0 1rem; font: 1.1rem/1.6 system-ui, sans-serif; }}
:root {{ color-scheme: light dark; }}
a {{ color: inherit; }}
</style>
</head>
<body>
<main>
<h1>There is no such page</h1>
<p>The address may have a slip, or the page has moved.</p>
<ul>
<li><a href="{first}.html">The first page, with all chapters</a></li>
<li><a href="search.html">Search the course</a></li>
</ul>
</main>
</body>
</html>
"""


def moved(page: str, folder: str) -> str:
    """A page of a folder as it reads one level up: relative addresses go through the folder."""

    def change(found: re.Match) -> str:
        url = found["url"]
        if not url or url.startswith(("#", "/")) or urlsplit(url).scheme:
            return found[0]
        path, mark, rest = re.match(r"([^?#]*)([?#]?)(.*)$", url, re.DOTALL).groups()
        path = posixpath.normpath(posixpath.join(folder, path)) if path else ""
        return f'{found["name"]}="{path}{mark}{rest}"'

    return ADDRESS.sub(change, page).replace('data-content_root="../"', 'data-content_root="./"', 1)


def sitemap(project: Project) -> str:
    """Every page by its public address."""
    urls = "\n".join(f"  <url><loc>{project.site}/{name}.html</loc></url>" for name in project.toc)
    scheme = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{scheme}">\n{urls}\n</urlset>\n'


def make_whereabouts(folder: Path, project: Project) -> None:
    """Write these files beside the built pages."""
    first = project.toc[0]
    page = (folder / f"{first}.html").read_text(encoding="utf-8")
    base = urlsplit(project.site).path.rstrip("/") + "/"
    files = {
        "index.html": moved(page, posixpath.dirname(first)),
        "sitemap.xml": sitemap(project),
        "robots.txt": f"User-agent: *\nAllow: /\nSitemap: {project.site}/sitemap.xml\n",
        "404.html": LOST.format(title=project.config.get("title", ""), base=base, first=first),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    pack(folder)


def pack(folder: Path) -> None:
    """The whole site in one archive, in a folder of its own, the same bytes for the same files."""
    target = folder / ZIP
    target.unlink(missing_ok=True)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(target, "w") as archive:
        for path in paths:
            info = zipfile.ZipInfo(f"diverse-diffusion/{path.relative_to(folder).as_posix()}")
            info.external_attr = 0o644 << 16
            kind = zipfile.ZIP_STORED if path.suffix in STORED else zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes(), kind, compresslevel=6 if kind == zipfile.ZIP_DEFLATED else None)

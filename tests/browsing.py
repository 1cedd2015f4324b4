"""The built site, served on this machine, and a browser's tab that can reach this machine only."""

import contextlib
import functools
import http.server
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "html"


def built() -> Path:
    """The site's folder; a test without it fails and says what to do."""
    if not (SITE / "index.html").is_file():
        pytest.fail("There is no site in _build/html to be tested: run make book first.", pytrace=False)
    return SITE


class Served(http.server.SimpleHTTPRequestHandler):
    """The files of a folder, and pages that a test hands over, by their paths."""

    def __init__(self, *args, pages: dict[str, str], **options):
        self.pages = pages
        super().__init__(*args, **options)

    def do_GET(self):
        if self.path not in self.pages:
            return super().do_GET()
        body = self.pages[self.path].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(folder: Path, pages: dict[str, str] | None = None, answers: type = Served) -> http.server.ThreadingHTTPServer:
    """A folder, and pages beside its files, served until the server is shut down."""
    handler = functools.partial(answers, directory=str(folder), pages={} if pages is None else pages)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Tab:
    """A browser's tab that notes requests to other servers and errors, and can reach this machine only."""

    def __init__(self, browser, address: str, width: int = 1280):
        self.address, self.outside, self.errors = address, [], []
        self.page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        self.page.route("**/*", self.pass_or_block)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    def pass_or_block(self, route):
        url = route.request.url
        if url.startswith((self.address, "data:", "blob:")):
            return route.continue_()
        self.outside.append(url)
        return route.abort()

    def open(self, name: str):
        """Goes to a page and waits until its formulas are set."""
        self.page.goto(f"{self.address}/{name}", wait_until="load", timeout=120_000)  # a busy machine is no fault
        self.page.evaluate("async () => { if (window.MathJax) await MathJax.startup.promise; }")
        return self.page

    def dark(self, on: bool = True):
        name = "dark" if on else "light"
        self.page.evaluate(f"document.documentElement.dataset.theme = document.documentElement.dataset.mode = '{name}'")

    def wide(self, width: int):
        self.page.set_viewport_size({"width": width, "height": 900})


@contextlib.contextmanager
def lone_page(browser, address: str, name: str, **options):
    """A page of a test's own server, open; at its end no error was told, nothing sent, nothing asked of others."""
    context = browser.new_context(viewport={"width": 1000, "height": 900}, **options)
    page, errors, asked = context.new_page(), [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append((request.method, request.url)))
    page.goto(f"{address}/{name}")
    yield page
    context.close()
    assert errors == []
    assert [one for one in asked if one[0] != "GET" or not one[1].startswith((address, "data:"))] == []

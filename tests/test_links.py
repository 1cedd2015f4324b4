"""The weekly link check, on a server of this machine."""

import http.server
import threading

import pytest

from course_lib.tools import links


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({"/good": 200, "/refused": 403}.get(self.path, 404))
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_link_works_is_refused_or_is_broken(server):
    assert links.trouble(f"{server}/good") == ""
    assert links.trouble(f"{server}/refused") == ""
    assert "404" in links.trouble(f"{server}/gone")
    assert links.trouble("http://127.0.0.1:1/nobody")


def test_links_are_collected_with_their_page(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book/a.html").write_text('<a href="https://x.org/a#b">x</a><a href="b.html">y</a><a>z</a>')
    assert links.outside(tmp_path) == {"https://x.org/a": "book/a.html"}


def test_broken_links_are_printed_and_counted(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.html").write_text('<a href="https://good.org/">x</a><a href="https://gone.org/">x</a>')
    monkeypatch.setattr(links, "trouble", lambda link: "gone" if "gone" in link else "")
    assert links.main(tmp_path) == 1
    assert capsys.readouterr().out == "a.html: https://gone.org/: gone\n"
    (tmp_path / "a.html").write_text('<a href="https://good.org/">x</a>')
    assert links.main(tmp_path) == 0

"""What is taken out of a built page, and what stays."""

import io
from base64 import b64decode, b64encode

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

mpl.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from course_lib.tools.build.lean import lean, make_lean  # noqa: E402
from course_lib.tools.build.outputs import shown  # noqa: E402

PAGE = """<head>
    <link rel="stylesheet" type="text/css" href="../_static/sphinx-thebe.css?v=4f" />
    <link rel="stylesheet" type="text/css" href="../_static/course.css?v=1" />
    <script src="../_static/vendor/fontawesome/6.5.2/js/all.min.js?digest=df"></script>
    <script>const THEBE_JS_URL = "https://unpkg.com/thebe"; const a = "<b>";</script>
    <script async="async" src="../_static/sphinx-thebe.js?v=c1"></script>
    <script>DOCUMENTATION_OPTIONS.pagename = 'book/x';</script>
</head>
<body>
<script type="text/x-thebe-config">
{ requestKernel: true }
</script>
</body>
"""
KEPT = """<head>
    <link rel="stylesheet" type="text/css" href="../_static/course.css?v=1" />
    <script>DOCUMENTATION_OPTIONS.pagename = 'book/x';</script>
</head>
<body>
</body>
"""


def test_a_page_keeps_its_own_scripts_only():
    assert lean(PAGE) == KEPT


def test_every_page_of_a_site_is_made_lean_and_stays_so(tmp_path):
    path = tmp_path / "book" / "x.html"
    path.parent.mkdir()
    path.write_text(PAGE, encoding="utf-8")
    for _ in range(2):
        make_lean(tmp_path)
        assert path.read_text(encoding="utf-8") == KEPT


@pytest.mark.parametrize(("colour", "mode"), [("white", "RGB"), ("none", "RGBA")])
def test_an_opaque_figure_loses_its_alpha_and_no_pixel(colour, mode):
    """What shines through keeps it; the size in bytes never grows."""
    figure, buffer = plt.figure(figsize=(3, 2), facecolor=colour), io.BytesIO()
    figure.add_subplot().plot([1, 3, 2])
    figure.savefig(buffer, format="png", dpi=100, facecolor=colour)
    plt.close(figure)
    before = b64encode(buffer.getvalue()).decode()
    (output,) = shown([{"output_type": "display_data", "metadata": {}, "data": {"image/png": before}}])
    after = output.data["image/png"]
    old, new = (Image.open(io.BytesIO(b64decode(data))) for data in (before, after))
    assert new.mode == mode
    assert np.array_equal(old.convert("RGBA"), new.convert("RGBA"))
    assert (len(after) < len(before)) == (mode == "RGB")

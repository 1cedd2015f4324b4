"""What is taken out of a built page, and what stays."""

from course_lib.tools.build.lean import lean, make_lean

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

"""What axe, the checker of accessibility, says against an open page."""

from browsing import ROOT

AXE = (ROOT / "tests" / "vendor" / "axe" / "axe.min.js").read_text("utf-8")

# WCAG 2.2 A and AA; what speech control needs, still called experimental; and what the theme had wrong besides.
FOUND = """async dark => {
  const colours = ['color-contrast', 'link-in-text-block'];
  const levels = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
  const besides = ['label-content-name-mismatch', 'region', 'empty-table-header', 'landmark-unique'];
  const all = axe.getRules(levels).map(rule => rule.ruleId);
  const run = { preload: false, resultTypes: ['violations'],
                runOnly: { type: 'rule', values: dark ? colours : [...new Set([...all, ...besides])] } };
  const { violations } = await axe.run(document, run);
  return violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.target.join(' ')} ${n.html.slice(0, 150)}`));
}"""
# Colours fade into each other, and axe must not see them on their way.
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
SIDEWAYS = "document.documentElement.scrollWidth - innerWidth"


def assert_fits(tab) -> None:
    """The page that is open cannot be scrolled sideways, by a telephone's width and a screen's."""
    for width in (400, 1400):
        tab.wide(width)
        assert tab.page.evaluate(SIDEWAYS) <= 0


def assert_readable_by_everyone(tab) -> None:
    """The page that is open: axe finds nothing at 1400 pixels, in light and in dark."""
    style = tab.page.add_style_tag(content=STILL)
    tab.page.evaluate(f"{AXE}; 0")
    tab.wide(1400)
    for dark in (False, True):
        tab.dark(dark)
        assert found(tab, dark) == [], f"in {'dark' if dark else 'light'} mode"
    style.evaluate("one => one.remove()")
    assert tab.outside == []
    assert tab.errors == []


def found(tab, dark: bool = False) -> list[str]:
    """What axe says against the page that is open."""
    return tab.page.evaluate(FOUND, dark)

"""The playground in a browser: its mathematics equals the library's, and it answers mouse, finger and keyboard."""

import random
import re
import shutil
from pathlib import Path

import pytest
import torch
from browsing import serve

from course_lib.denoisers import GaussianMixture, cfg, ring, score
from course_lib.guidance import Above, Repulsion, guided, radial, rbf
from course_lib.metrics import modes_hit, on_mode
from course_lib.samplers import ddim, ddpm, geometric, langevin, sample
from course_lib.tools.build.masters import Directive
from course_lib.tools.build.plain_script import make_plain_script
from course_lib.tools.build.project import Project

STATIC = Path(__file__).resolve().parents[1] / "book" / "_static"
KERNELS = {"rbf": rbf, "radial": radial}
PAGE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>Playground</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="course.css">
<link rel="stylesheet" href="playground/playground.css"><script src="course.js"></script></head>
<body><main><article class="bd-article"><h1>Playground</h1>{body}</article></main></body></html>"""
PAGES: dict[str, str] = {}  # that a test hands over
FORCE = '<div class="playground" data-show="alpha h" data-set="N=12"><p>needs JavaScript</p></div>'


@pytest.fixture(scope="module")
def address():
    server = serve(STATIC, PAGES)
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def opened(browser, address):
    """A function from a page's body to the page; at its end no error may have been told."""
    contexts, errors = [], []

    def open_(body: str = "", **options):
        PAGES["/page.html"] = PAGE.format(body=body)
        contexts.append(browser.new_context(viewport={"width": 1000, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(f"{address}/page.html")
        if 'class="playground"' in body:
            page.wait_for_selector(".playground canvas")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [error for error in errors if "favicon" not in error and "404" not in error] == []


# ---- the mathematics


def setting(seed: int) -> dict:
    """One random setting, and what the library makes of it."""
    g, dice = torch.Generator().manual_seed(seed), random.Random(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    M, N, high = dice.randint(1, 8), dice.randint(2, 12), 10 ** dice.uniform(-1.5, 0.7)
    means, s, weights = randn(M, 2), 0.02 + randn(M).abs() / 3, 0.01 + randn(M).abs()
    x, noise, w = high * randn(N, 2), randn(N, 2), dice.uniform(0, 8)
    kernel, on = dice.choice(["rbf", "radial"]), dice.choice(["x", "x0"])
    h, alpha = dice.choice([None, 10 ** dice.uniform(-1.5, 1)]), dice.uniform(0.1, 40)
    level, tau, low = high * dice.uniform(0, 1.5), dice.uniform(0.01, 1), high * dice.uniform(0, 0.9)
    D, P = GaussianMixture(means, s, weights), GaussianMixture(means, s, weights * (2 * means[:, 0]).exp())
    sigma, next_ = torch.tensor(high, dtype=torch.float64), torch.tensor(low, dtype=torch.float64)
    free = cfg(P, D, w)
    pulled = guided(free, Above(level, Repulsion(alpha, KERNELS[kernel], h=h, on=on)))
    x0, radius = pulled(x, sigma), dice.uniform(0.1, 2)
    given = {"means": means, "s": s, "weights": weights, "x": x, "noise": noise}
    given = {name: value.tolist() for name, value in given.items()}
    given |= {"w": w, "kernel": kernel, "on": on, "h": h, "alpha": alpha, "level": level, "tau": tau, "radius": radius}
    answers = {
        "score": score(D, x, sigma),
        "guided": free(x, sigma),
        "kernel": KERNELS[kernel](x, h),
        "repelled": x0,
        "ddim": ddim(x, x0, sigma, next_),
        "ddpm": ddpm(x, x0, sigma, next_, lambda _: noise),
        "langevin": langevin(x, x0, sigma, tau, lambda _: noise),
        "density": D.log_prob(x, sigma),
        "counted": torch.tensor([float(modes_hit(x, means, radius)), float(on_mode(x, means, radius).double().mean())]),
    }
    return given | {"sigma": high, "next": low, "answers": {name: a.tolist() for name, a in answers.items()}}


IN_THE_BROWSER = """async (settings) => {
  const plane = await import('/playground/plane.js');
  return settings.map((g) => {
    const p = plane.mixture(g.means, g.s, g.weights), D = plane.exact(p);
    const free = plane.cfg(plane.exact(plane.prompted(p)), D, g.w), noise = () => g.noise;
    const x0 = plane.repelled(free, g)(g.x, g.sigma), count = plane.counted(g.x, g.means, g.radius);
    return {
      score: plane.score(D, g.x, g.sigma), guided: free(g.x, g.sigma),
      kernel: plane.kernelMatrix(g.x, g.kernel, g.h).k, repelled: x0,
      ddim: plane.steps.ddim(g.x, x0, g.sigma, g.next), ddpm: plane.steps.ddpm(g.x, x0, g.sigma, g.next, noise),
      langevin: plane.langevin(g.x, x0, g.sigma, g.tau, noise),
      density: g.x.map((x) => plane.logDensity(p, x, g.sigma)), counted: [count.modes, count.share],
    };
  });
}"""


def test_score_kernel_and_steps_equal_the_librarys_on_a_hundred_random_settings(opened):
    settings = [setting(seed) for seed in range(100)]
    assert {(s["kernel"], s["on"], s["h"] is None, s["sigma"] > s["level"]) for s in settings} == {
        (kernel, on, median, active)
        for kernel in KERNELS for on in ("x", "x0") for median in (True, False) for active in (True, False)
    }  # fmt: skip
    for given, got in zip(settings, opened().evaluate(IN_THE_BROWSER, settings), strict=True):
        for name, answer in given["answers"].items():
            got_, due = (torch.tensor(values, dtype=torch.float64) for values in (got[name], answer))
            torch.testing.assert_close(got_, due, rtol=1e-6, atol=1e-6, msg=f"{name} {got_ - due}")


WHOLE_RUN = """async ({starts, alpha, kernel, on, T}) => {
  const plane = await import('/playground/plane.js');
  const D = plane.repelled(plane.exact(plane.ring(10)), {alpha, kernel, on, level: 0.4});
  return plane.trajectory(D, starts, plane.geometric(5, 0.02, T)).at(-1);
}"""


@pytest.mark.parametrize(("kernel", "on", "alpha"), [("rbf", "x", 10.0), ("rbf", "x0", 20.0), ("radial", "x", 1.0)])
def test_whole_runs_end_where_the_librarys_end(opened, kernel, on, alpha):
    g = torch.Generator().manual_seed(1)
    starts, T = 5 * torch.randn(12, 2, generator=g, dtype=torch.float64), 30
    D = guided(ring(10), Above(0.4, Repulsion(alpha, KERNELS[kernel], on=on)))
    due = sample(D, starts, geometric(5.0, 0.02, T))
    given = {"starts": starts.tolist(), "alpha": alpha, "kernel": kernel, "on": on, "T": T}
    got = torch.tensor(opened().evaluate(WHOLE_RUN, given), dtype=torch.float64)
    assert (got - due).abs().max() < 1e-6
    assert (sample(ring(10), starts, geometric(5.0, 0.02, T)) - due).abs().max() > 0.1  # the force did something


def test_normal_numbers_are_normal(opened):
    numbers = opened().evaluate(
        """async () => { const { normal } = await import('/playground/plane.js');
        return Array.from({length: 4000}, (_, i) => { const r = normal(i); return [r(), r(), r()]; }); }"""
    )
    x = torch.tensor(numbers, dtype=torch.float64)  # the first numbers of neighbouring seeds must not be related
    assert x.mean(0).abs().max() < 4 / 4000**0.5
    assert (x.var(0) - 1).abs().max() < 4 * (2 / 4000) ** 0.5
    assert (torch.corrcoef(torch.cat([x[1:], x[:-1]], 1).T) - torch.eye(6)).abs().max() < 4.5 / 4000**0.5


# ---- the hands on it


def picture(page) -> str:
    return page.evaluate("document.querySelector('.playground canvas').toDataURL()")


def told(page) -> str:
    return page.locator(".playground-told").inner_text()


def start(page, i: int) -> list[float]:
    """Where a particle starts, in pixels of the window."""
    return page.evaluate(
        """(i) => { const play = document.querySelector('.playground').playground;
        const [x, y] = play.at(play.starts[i].map(z => z * play.spread));
        const box = play.canvas.getBoundingClientRect(); return [box.left + x, box.top + y]; }""",
        i,
    )


def test_the_force_finds_modes_by_keyboard(opened):
    page = opened(FORCE)
    slider = page.get_by_label("strength of the force")
    before, words = picture(page), told(page)
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "5.0"
    assert picture(page) != before
    assert "Without the force: " + words.rstrip(".") in told(page)
    means = page.locator(".playground-means")
    means.filter(has_text="without the force").wait_for()
    with_force, without = re.findall(r"([\d.]+) modes", means.inner_text())
    assert float(with_force) > float(without) + 0.5
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_slider_follows_the_mouse(opened):
    page = opened(FORCE)
    slider = page.get_by_label("bandwidth h")
    page.get_by_label("strength of the force").fill("10")
    before, box = picture(page), slider.bounding_box()
    assert slider.get_attribute("aria-valuetext") == "median rule"
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + box["height"] / 2)
    assert float(slider.get_attribute("aria-valuetext")) > 0.01
    assert picture(page) != before


def test_particles_are_dragged_and_added_by_mouse(opened):
    page = opened(FORCE)
    before, (x, y) = picture(page), start(page, 3)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 25, steps=4)
    page.mouse.up()
    moved = start(page, 3)
    assert [round(a - b) for a, b in zip(moved, (x, y))] == [40, 25]
    assert (dragged := picture(page)) != before
    box = page.locator(".playground canvas").bounding_box()
    page.mouse.click(box["x"] + 6, box["y"] + 6)
    assert page.evaluate("document.querySelector('.playground').playground.starts.length") == 13
    assert (added := picture(page)) != dragged
    page.mouse.move(box["x"] + 6, box["y"] + 60)  # a press that moves on is no click
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 60)
    page.mouse.up()
    assert picture(page) == added


def test_particles_obey_a_finger_and_the_page_still_scrolls(opened):
    page = opened(FORCE + "<p style='height: 3000px'></p>", has_touch=True)
    touch = page.context.new_cdp_session(page)

    def swipe(x, y, dx, dy):
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for share in (0.25, 0.5, 0.75, 1):
            points = [{"x": x + share * dx, "y": y + share * dy}]
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    before, (x, y) = picture(page), start(page, 2)
    swipe(x, y, 10, -60)
    assert [round(a - b) for a, b in zip(start(page, 2), (x, y))] == [10, -60]
    assert picture(page) != before
    assert page.evaluate("scrollY") == 0
    box = page.locator(".playground canvas").bounding_box()
    page.touchscreen.tap(box["x"] + 8, box["y"] + 8)
    assert page.evaluate("document.querySelector('.playground').playground.starts.length") == 13
    swipe(box["x"] + 5, box["y"] + 150, 0, -140)
    page.wait_for_function("scrollY > 0")
    assert page.evaluate("document.querySelector('.playground').playground.starts.length") == 13


def test_particles_obey_the_keyboard(opened):
    page = opened(FORCE)
    page.locator(".playground canvas").focus()
    seen = [picture(page)]
    for key in ("ArrowRight", "n", "ArrowUp", "Enter", "Delete", "Shift+ArrowLeft"):
        page.keyboard.press(key)
        assert picture(page) != seen[-1], key
        seen.append(picture(page))
    page.keyboard.press("Tab")  # there is no trap
    assert page.evaluate("document.activeElement.name") == "alpha"


def test_play_moves_unless_motion_is_not_wanted(opened):
    page = opened(FORCE)
    end = picture(page)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("end => document.querySelector('canvas').toDataURL() !== end", arg=end)
    page.wait_for_function("end => document.querySelector('canvas').toDataURL() === end", arg=end)
    page = opened(FORCE, reduced_motion="reduce")
    page.get_by_role("button", name="Play").click()
    first = picture(page)
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert picture(page) == first
    assert page.get_by_label("level shown").input_value() == "0"
    page.get_by_role("button", name="Play").click()
    assert page.get_by_label("level shown").input_value() == "1"


def test_every_control_changes_the_picture(opened):
    """Each slider and menu, in a setting where it has something to say."""
    page = opened('<div class="playground" data-set="alpha=8 w=1 corrections=1 N=16 density=rare"></div>')
    names = page.locator(".playground :is(input, select)").evaluate_all("all => all.map(one => one.name)")
    assert len(names) == 16
    for name in names:
        control = page.locator(f".playground [name={name}]")
        if name in ("rare", "n"):
            page.locator("[name=density]").select_option({"rare": "rare", "n": "points"}[name])
        before = picture(page)
        if control.evaluate("one => one.tagName") == "SELECT":
            control.select_option(index=1)
        else:
            control.focus()
            page.keyboard.press("PageUp" if name != "shown" else "PageDown")
        assert picture(page) != before, name


def test_dark_mode_redraws_the_picture(opened):
    page = opened(FORCE)
    before = picture(page)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function("before => document.querySelector('canvas').toDataURL() !== before", arg=before)


def test_where_no_module_can_be_loaded_a_sentence_says_what_to_do(browser, address):
    PAGES["/page.html"] = PAGE.format(body=FORCE)
    page = browser.new_page()
    page.route("**/playground.js", lambda route: route.abort())
    page.goto(f"{address}/page.html")
    page.get_by_text("This playground comes from a server: run make serve").wait_for()
    page.close()


def test_opened_as_a_file_it_is_one_plain_script(browser, tmp_path):
    """The builder's script, for a page that may load no module; it answers the keyboard as ever."""
    shutil.copytree(STATIC, tmp_path / "_static", ignore=shutil.ignore_patterns("vendor"))
    make_plain_script(tmp_path)
    (tmp_path / "_static" / "page.html").write_text(PAGE.format(body=FORCE), encoding="utf-8")
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "_static" / "page.html").as_uri())
    page.wait_for_selector(".playground canvas")
    before = picture(page)
    page.get_by_label("strength of the force").press("End")
    assert picture(page) != before
    assert errors == []
    page.close()


def test_a_strength_beyond_all_bounds_is_a_sentence(opened):
    page = opened('<div class="playground" data-set="alpha=1e300 N=12"></div>')
    assert told(page) == "The particles have left every bound: lower the strength of the force."


def test_the_picture_stays_in_sight_on_a_telephone_and_hides_no_control(opened):
    page = opened('<div class="playground"></div>')
    page.set_viewport_size({"width": 400, "height": 800})
    page.locator(".playground canvas").focus()
    for _ in range(17):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """() => { const box = document.activeElement.getBoundingClientRect();
            const under = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
            const picture = document.querySelector('.playground canvas').getBoundingClientRect();
            return [under === document.activeElement, picture.top >= -1 && picture.bottom <= innerHeight]; }"""
        )
        assert seen == [True, True], page.evaluate("document.activeElement.outerHTML")


def test_it_fits_a_telephone_and_every_control_has_a_name(opened):
    page = opened('<div class="playground"></div>')
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    unnamed = "all => all.filter(one => !one.labels.length || !one.labels[0].innerText.trim()).length"
    assert page.locator(".playground :is(input, select)").evaluate_all(unnamed) == 0


def embeds() -> dict[str, list[dict]]:
    """The options of the playgrounds in each master."""
    project = Project(STATIC.parents[1])
    masters = [project.read(path) for path in project.master_paths()[:6]]
    return {
        m.stem: [b.options for b in m.blocks if isinstance(b, Directive) and b.name == "playground"] for m in masters
    }


def test_chapters_1_to_6_have_a_playground_whose_sliders_all_act(opened):
    for stem, blocks in embeds().items():
        assert blocks, stem
        for options in blocks:
            for name in options["show"].split():
                data = f'data-show="{options["show"]}" data-set="{options["set"]}"'
                page = opened(f'<div class="playground" {data}></div>')
                control = page.locator(f".playground [name={name}]")
                before = picture(page)
                if control.evaluate("one => one.tagName") == "SELECT":
                    control.select_option(index=1)
                else:
                    control.focus()
                    page.keyboard.press("PageUp")
                assert picture(page) != before, f"{stem}: {name}"


def test_it_is_small():
    assert sum(path.stat().st_size for path in (STATIC / "playground").iterdir()) < 40_000

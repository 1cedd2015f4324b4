// ?slides shows a chapter as slides: what can be seen and the sentences that lead to it, as alive as on the page.
// Arrow keys, Page Up and Down, Home, End; Escape goes back to the text. Printed, each slide is a page.
(() => {
  const SEEN = ".course-slider, .animation, .claim, .playground, img, table";
  const BLOCKS = "div.math, .admonition, ul, ol, dl, figure, .pst-scrollable-table-container, .table-wrapper";
  const SKIPPED = "details, .quiz, .chapter-links, .page-foot, .visually-hidden, div[class*=highlight]";
  const ASKS = /\?$|^(Predict|Which|Say|Before you (?!start))/;
  const SCROLLS = ".pst-scrollable-table-container, .table-wrapper, div.math, mjx-container[display]";
  const SENTENCES = 4; // at most, on a slide
  const ZOOMS = [1.7, 1.5, 1.3, 1.15, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4];
  const WIDTH = 1120, HEIGHT = 630, BAR = 56;
  const SMALL = matchMedia("screen and (max-width: 700px), screen and (max-height: 500px)"); // a telephone's, either way round

  function element(name, content = {}, ...children) {
    const made = Object.assign(document.createElement(name), content);
    made.append(...children);
    return made;
  }

  // The first sentence of a paragraph, with its formulas and links; all of one that asks something.
  function sentence(paragraph) {
    const asks = [...paragraph.querySelectorAll("strong")].some((one) => ASKS.test(one.innerText.trim()));
    if (asks) return Object.assign(paragraph.cloneNode(true), { className: "question" });
    const copy = element("p");
    for (const node of paragraph.childNodes) {
      const end = node.nodeType === Node.TEXT_NODE ? node.data.search(/[.?!](\s|$)/) : -1;
      copy.append(end < 0 ? node.cloneNode(true) : node.data.slice(0, end + 1));
      if (end >= 0) break;
    }
    return copy;
  }

  // What of a block of the page is seen on a slide, or nothing; code stays on the page.
  function seen(block) {
    if (block.matches(SKIPPED)) return null;
    if (block.matches(BLOCKS) || block.matches(SEEN)) return block;
    const output = block.matches(".cell") && block.querySelector(".cell_output");
    return output && output.querySelector(SEEN) ? output : null;
  }

  // The contents of the slides of one section, in order: sentences, and then one thing to look at.
  function contents(section) {
    const slides = [];
    let told = [];
    const end = (shown) => {
      slides.push(shown ? [...told, shown] : told); // shown is moved, not copied: it keeps what makes it move
      told = [];
    };
    for (const block of [...section.children]) {
      const shown = seen(block);
      if (block.matches("p") && !/^\s*([a-z]|$)/.test(block.innerText)) told.push(sentence(block)); // none that goes on
      if (told.length === SENTENCES || (shown && told.length > 2)) end();
      if (shown) end(shown);
    }
    if (told.length || !slides.length) end();
    return slides;
  }

  class Deck {
    constructor(article) {
      this.chapter = article.querySelector("h1").innerText.replace(/[#¶]\s*$/, "");
      this.slides = [...article.querySelectorAll("section:not(.quiz)")].flatMap((section) => this.of(section));
      this.told = element("p", { role: "status" });
      const turn = (sign, name, by) => {
        const button = element("button", { type: "button", textContent: sign, ariaLabel: name });
        button.addEventListener("click", () => this.show(this.at + by));
        return button;
      };
      const leave = element("a", { href: location.pathname, textContent: "Leave" });
      const bar = [turn("‹", "Previous slide", -1), this.told, turn("›", "Next slide", 1), leave];
      this.element = element("main", { className: "deck" }, ...this.slides, element("nav", { className: "deck-bar", ariaLabel: "Slides" }, ...bar));
      document.documentElement.classList.add("slides");
      document.body.append(this.element); // the page stays, unseen: the theme's scripts look for its parts
      document.title = `Slides: ${this.chapter}`;
      reflow(this.slides);
      this.slides.forEach(keepFit);
      SMALL.addEventListener("change", () => reflow(this.slides));
      this.show(Number(location.hash.slice(1)) - 1 || 0);
    }

    // The slides of one section; only the first has its heading as one.
    of(section) {
      const heading = section.querySelector(":scope > :is(h1, h2, h3, h4)");
      return contents(section).map((content, n) => {
        const title = element(n ? "p" : "h2", { className: "slide-title" }, ...[...heading.childNodes].map((one) => one.cloneNode(true)));
        title.querySelector(".headerlink")?.remove();
        const back = element("a", { href: `${location.pathname}#${section.id}`, textContent: "in the chapter" });
        const foot = element("p", { className: "slide-foot" }, `${this.chapter} · `, back);
        return element("section", { className: "slide" }, title, element("div", { className: "slide-body" }, ...content), foot);
      });
    }

    show(n) {
      this.at = Math.max(0, Math.min(this.slides.length - 1, n));
      this.slides.forEach((slide, i) => slide.classList.toggle("current", i === this.at));
      this.told.textContent = `${this.at + 1} of ${this.slides.length}`;
      history.replaceState(null, "", `${location.pathname}${location.search}#${this.at + 1}`);
      this.scale();
    }

    scale() {
      this.element.style.setProperty("--scale", Math.min(innerWidth / WIDTH, (innerHeight - BAR) / HEIGHT));
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape") location.href = location.pathname;
      const own = event.target.closest("input, select, textarea, canvas, button, a, summary"); // they have a use for keys
      if (own && !event.key.startsWith("Page")) return;
      const last = this.slides.length - 1;
      const to = { ArrowRight: this.at + 1, PageDown: this.at + 1, " ": this.at + 1, ArrowLeft: this.at - 1, PageUp: this.at - 1, Home: 0, End: last };
      if (!(event.key in to)) return;
      event.preventDefault();
      this.show(to[event.key]);
    }
  }

  // Whether all of an element is seen without scrolling it; nothing else on a slide scrolls but tables and formulas.
  const whole = (one) => one.scrollHeight <= one.clientHeight + 1 && one.scrollWidth <= one.clientWidth + 1;
  const fits = (body) => [body, ...body.querySelectorAll(SCROLLS)].every(whole);

  // Large where there is room, small where there is much to see; never larger than it was, so that nothing jumps.
  // In a small window text keeps its size and a slide scrolls.
  function fit(slide) {
    if (SMALL.matches) return;
    const body = slide.querySelector(".slide-body");
    slide.classList.add("measured");
    for (const zoom of ZOOMS.filter((one) => one <= (body.style.zoom || ZOOMS[0]))) {
      body.style.zoom = zoom;
      if (fits(body)) break;
    }
    slide.classList.remove("measured");
  }

  // What comes late, as a playground does, or says more when it is used, is fitted again; so is all once its fonts are there.
  function keepFit(slide) {
    new MutationObserver(() => fit(slide)).observe(slide.querySelector(".slide-body"), { childList: true, subtree: true, characterData: true });
    document.fonts.addEventListener("loadingdone", () => fit(slide));
  }

  function reflow(slides) {
    document.documentElement.classList.toggle("reflowed", SMALL.matches);
    slides.forEach(fit);
  }

  async function start(style) {
    const sheet = element("link", { rel: "stylesheet", href: style });
    const styled = new Promise((resolve) => (sheet.onload = sheet.onerror = resolve));
    document.head.append(sheet);
    const images = [...document.querySelectorAll("article img")];
    for (const image of images) image.loading = "eager";
    await Promise.all([styled, window.MathJax?.startup?.promise, ...images.map((image) => image.decode().catch(() => {}))]);
    const deck = new Deck(document.querySelector("article"));
    addEventListener("keydown", (event) => deck.key(event));
    addEventListener("resize", () => deck.scale());
  }
  start(new URL("slides.css", document.currentScript.src));
})();

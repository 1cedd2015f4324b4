// The playground: a picture of the plane, its controls, and what is counted. The mathematics is in plane.js.
// <div class="playground" data-show="alpha h" data-set="density=ring N=10"></div> becomes one.

import { logDensity } from "./plane.js";
import { MENUS, ONLY_FOR, SLIDERS, average, run, settingsOf, startOf } from "./controls.js";

const LIMIT = 2.2; // of the picture, in units of sqrt(1 + sigma**2), so that noise and data both fit
const CELLS = 88; // of the density, along one side
const still = matchMedia("(prefers-reduced-motion: reduce)");
let made = 0;

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

class Playground {
  constructor(host) {
    this.host = host;
    this.id = `playground-${++made}`;
    this.settings = settingsOf(host.dataset.set);
    this.shown = (host.dataset.show ?? [...Object.keys(MENUS), ...Object.keys(SLIDERS)].join(" ")).split(/\s+/);
    this.seed = 0;
    this.starts = []; // in units of the first level, as seeds are
    this.chosen = 0;
    this.build();
    this.fill();
    this.update();
    this.listen();
  }

  // ---- the page's elements

  build() {
    const help = "Tab to the picture: arrow keys move the chosen particle, N chooses the next, Enter adds one, " +
      "Delete removes it. With mouse or finger: drag a hollow dot, click an empty place to add one.";
    this.canvas = element("canvas", {
      tabindex: 0, role: "application", "aria-label": "The plane with its particles", "aria-describedby": `${this.id}-help`,
    });
    this.told = element("p", { class: "playground-told", role: "status" });
    this.means = element("p", { class: "playground-means" });
    this.controls = element("div", { class: "playground-controls" });
    for (const name of this.shown) this.controls.append(name in MENUS ? this.menu(name) : this.slider(name, SLIDERS[name]));
    this.time = { title: "level shown", min: 0, max: this.settings.T, step: 1, reads: (k) => this.levelText(k) };
    this.controls.append(this.slider("shown", this.time));
    const buttons = [["play", "Play"], ["again", "New starts"], ["add", "Add a particle"], ["remove", "Remove a particle"]];
    const row = element("div", { class: "playground-buttons" });
    for (const [name, title] of buttons) {
      const button = element("button", { type: "button", "data-does": name }, title);
      button.addEventListener("click", () => this[name]());
      row.append(button);
    }
    const key = "Hollow: start. Filled: where the particle is at the level shown. Crosses: centres of modes, with the " +
      "circle in which a sample counts. The plane is drawn in units of √(1 + σ²), so that noise and data fit one picture. ";
    const details = element("details", {}, element("summary", {}, "How to use it"), element("p", { id: `${this.id}-help` }, key + help));
    const left = element("div", { class: "playground-picture" }, this.canvas, this.told, this.means);
    this.host.replaceChildren(left, element("div", { class: "playground-side" }, this.controls, row, details));
  }

  slider(name, { title, min, max, step, reads = String }) {
    const id = `${this.id}-${name}`;
    const value = name === "shown" ? max : this.settings[name];
    const input = element("input", { type: "range", id, min, max, step, name });
    input.value = value;
    const text = element("output", { for: id });
    const tell = () => {
      text.value = reads(Number(input.value));
      input.setAttribute("aria-valuetext", text.value);
    };
    input.addEventListener("input", () => {
      if (name !== "shown") this.settings[name] = Number(input.value);
      if (name === "N") this.fill();
      this.stop();
      this.update(name !== "shown");
    });
    input.tell = tell;
    tell();
    return element("div", { class: "playground-control" }, element("label", { for: id }, title), text, input);
  }

  menu(name) {
    const id = `${this.id}-${name}`;
    const select = element("select", { id, name });
    for (const [value, title] of MENUS[name].choices) select.append(element("option", { value }, title));
    select.value = this.settings[name];
    select.addEventListener("change", () => {
      this.settings[name] = select.value;
      this.update();
    });
    return element("div", { class: "playground-control" }, element("label", { for: id }, MENUS[name].title), select);
  }

  input(name) {
    return this.controls.querySelector(`[name="${name}"]`);
  }

  // ---- particles

  /** As many particles as N says: new ones from their own seeds, the last ones leave. */
  fill() {
    while (this.starts.length < this.settings.N) this.starts.push(startOf(1000 * this.seed + this.starts.length, LIMIT - 0.1));
    this.starts.length = this.settings.N;
    this.chosen = Math.max(0, Math.min(this.chosen, this.starts.length - 1));
  }

  /** N follows the particles. */
  counted() {
    this.settings.N = this.starts.length;
    const slider = this.input("N");
    if (slider) slider.value = this.settings.N;
    slider?.tell();
    this.update();
  }

  add(z = startOf(1000 * this.seed + this.starts.length, LIMIT - 0.1)) {
    if (this.starts.length >= SLIDERS.N.max) return;
    this.starts.push(z);
    this.chosen = this.starts.length - 1;
    this.counted();
  }

  remove() {
    if (this.starts.length <= 1) return;
    this.starts.splice(this.chosen, 1);
    this.chosen = Math.max(0, Math.min(this.chosen, this.starts.length - 1));
    this.counted();
  }

  again() {
    this.seed++;
    this.starts = [];
    this.fill();
    this.update();
  }

  move(i, z) {
    const bound = LIMIT / this.spread;
    this.starts[i] = z.map((value) => Math.max(-bound, Math.min(bound, value)));
    this.update();
  }

  // ---- running and telling

  /** Where a start is drawn, over its own units. */
  get spread() {
    return this.settings.high / Math.hypot(1, this.settings.high);
  }

  /** Zoom at a level: a plane point times this is a place in the picture. */
  zoom(k) {
    return 1 / Math.sqrt(1 + this.result.levels[k] ** 2);
  }

  levelText(k) {
    const levels = this.result?.levels;
    return levels ? `σ = ${levels[k].toFixed(2)}` : "";
  }

  update(again = true) {
    const time = this.input("shown");
    if (again) {
      const atEnd = Number(time.value) >= Number(time.max);
      this.result = run(this.settings, this.starts);
      clearTimeout(this.soon);
      this.soon = setTimeout(() => this.tellMeans(), 300); // when the hand rests
      time.max = this.settings.T;
      if (atEnd) time.value = this.settings.T;
    }
    for (const input of this.controls.querySelectorAll("input")) input.tell();
    for (const [name, density] of Object.entries(ONLY_FOR)) {
      this.input(name)?.parentElement.toggleAttribute("hidden", this.settings.density !== density);
    }
    this.tell();
    this.draw();
  }

  tell() {
    const { p, what, modes, share, without, finite } = this.result;
    const both = (count) => `${count.modes} of ${p.means.length} ${what}, ${percent(count.share)} of the samples on one`;
    this.means.textContent = "";
    this.told.textContent = finite
      ? both({ modes, share }) + (without ? `. Without the force: ${both(without)}.` : ".")
      : "The particles have left every bound: lower the strength of the force.";
  }

  tellMeans() {
    const { N, T, corrections } = this.settings;
    const sets = Math.max(5, Math.min(30, Math.floor(4e6 / (N * N * T * (1 + corrections))))); // half a second at most
    const { modes, share, without } = average(this.settings, sets);
    const both = (mean) => `${mean.modes.toFixed(1)} ${this.result.what}, ${percent(mean.share)} on one`;
    const compared = without ? `; without the force ${both(without)}` : "";
    this.means.textContent = this.result.finite ? `Mean of ${sets} sets of new starts: ${both({ modes, share })}${compared}.` : "";
  }

  // ---- drawing

  colour(name) {
    return getComputedStyle(this.host).getPropertyValue(`--playground-${name}`).trim();
  }

  draw() {
    const size = this.canvas.clientWidth || 320;
    const dots = Math.round(size * (devicePixelRatio || 1));
    if (this.canvas.width !== dots) this.canvas.width = this.canvas.height = dots;
    const pen = this.canvas.getContext("2d");
    this.scale = size / (2 * LIMIT);
    pen.setTransform(dots / size, 0, 0, dots / size, 0, 0);
    pen.fillStyle = this.colour("ground");
    pen.fillRect(0, 0, size, size);
    const k = Number(this.input("shown").value);
    this.drawDensity(pen, size, k);
    this.drawModes(pen, k);
    this.drawParticles(pen, k);
  }

  /** A place in the picture, in CSS pixels from its upper left corner. */
  at([x, y]) {
    return [(x + LIMIT) * this.scale, (LIMIT - y) * this.scale];
  }

  drawDensity(pen, size, k) {
    const { p, levels } = this.result;
    const sigma = Math.max(levels[k], p.s[0] ? 0 : 0.04); // points alone would be too small to be seen
    const out = 1 / this.zoom(k);
    const cell = (2 * LIMIT) / CELLS;
    const values = [];
    for (let i = 0; i < CELLS * CELLS; i++) {
      const place = [-LIMIT + ((i % CELLS) + 0.5) * cell, LIMIT - (Math.floor(i / CELLS) + 0.5) * cell];
      values.push(Math.exp(logDensity(p, place.map((value) => value * out), sigma)));
    }
    const most = Math.max(...values);
    this.veil ??= element("canvas", { width: CELLS, height: CELLS });
    const veil = this.veil.getContext("2d");
    const image = veil.createImageData(CELLS, CELLS);
    const [r, g, b] = this.colour("density").split(/\s+/).map(Number);
    values.forEach((value, i) => image.data.set([r, g, b, 190 * Math.sqrt(value / most)], 4 * i));
    veil.putImageData(image, 0, 0);
    pen.drawImage(this.veil, 0, 0, size, size);
  }

  drawModes(pen, k) {
    const { p, radius } = this.result;
    pen.strokeStyle = this.colour("modes");
    for (const mean of p.means) {
      const [x, y] = this.at(mean.map((value) => value * this.zoom(k)));
      pen.lineWidth = 1;
      pen.setLineDash([2, 2]);
      circle(pen, x, y, radius * this.zoom(k) * this.scale);
      pen.stroke();
      pen.setLineDash([]);
      pen.beginPath();
      pen.moveTo(x - 3, y);
      pen.lineTo(x + 3, y);
      pen.moveTo(x, y - 3);
      pen.lineTo(x, y + 3);
      pen.stroke();
    }
  }

  drawParticles(pen, k) {
    const places = this.result.sets.map((set, t) => set.map((x) => this.at(x.map((value) => value * this.zoom(t)))));
    const ink = this.colour("ink");
    this.starts.forEach((_, i) => {
      pen.strokeStyle = ink;
      pen.globalAlpha = 0.45;
      pen.beginPath();
      for (let t = 0; t <= k; t++) pen.lineTo(...places[t][i]);
      pen.stroke();
      pen.globalAlpha = 1;
      const chosen = i === this.chosen;
      pen.lineWidth = chosen ? 3 : 1.5;
      pen.fillStyle = this.colour("ground");
      circle(pen, ...places[0][i], chosen ? 7 : 5);
      pen.fill();
      pen.stroke();
      pen.lineWidth = 1;
      pen.fillStyle = this.colour("particle");
      pen.strokeStyle = this.colour("ground");
      circle(pen, ...places[k][i], 5);
      pen.fill();
      pen.stroke();
    });
  }

  // ---- play

  stop() {
    cancelAnimationFrame(this.frame);
    this.playing = false;
  }

  /** From the start to the end in two seconds; where motion is not wanted, one level a press. */
  play() {
    const time = this.input("shown");
    const T = this.settings.T;
    this.stop();
    if (still.matches) {
      time.value = Number(time.value) >= T ? 0 : Number(time.value) + 1;
      return this.update(false);
    }
    let begun = null;
    const tick = (now) => {
      begun ??= now;
      time.value = Math.min(T, Math.floor(((now - begun) / 2000) * T));
      this.update(false);
      if (Number(time.value) < T) this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
  }

  // ---- mouse, finger, keyboard

  /** Where an event is, in the units of the starts. */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const unit = (2 * LIMIT) / box.width;
    const place = [(event.clientX - box.left) * unit - LIMIT, LIMIT - (event.clientY - box.top) * unit];
    return place.map((value) => value / this.spread);
  }

  /** The start under a pointer, or -1; a finger is wider than a mouse. */
  hit(event, reach) {
    const [x, y] = this.place(event);
    const distances = this.starts.map((z) => Math.hypot(z[0] - x, z[1] - y) * this.spread * this.scale);
    const least = Math.min(...distances);
    return least <= reach ? distances.indexOf(least) : -1;
  }

  listen() {
    const canvas = this.canvas;
    const reach = (event) => (event.pointerType === "mouse" ? 10 : 20);
    // A finger on a particle drags it; anywhere else it scrolls the page.
    canvas.addEventListener("touchstart", (event) => {
      if (this.hit(event.touches[0], 20) >= 0) event.preventDefault();
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      const i = this.hit(event, reach(event));
      this.dragged = i >= 0 ? i : null;
      this.pressed = [event.clientX, event.clientY];
      if (i < 0) return;
      this.chosen = i;
      this.grip = this.place(event).map((value, c) => this.starts[i][c] - value); // it does not jump to the pointer
      canvas.setPointerCapture(event.pointerId);
      this.draw();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.dragged !== null) this.move(this.dragged, this.place(event).map((value, c) => value + this.grip[c]));
    });
    canvas.addEventListener("pointerup", (event) => {
      const near = this.pressed && Math.hypot(event.clientX - this.pressed[0], event.clientY - this.pressed[1]) < 6;
      if (this.dragged === null && near) this.add(this.place(event));
      this.dragged = this.pressed = null;
    });
    canvas.addEventListener("pointercancel", () => (this.dragged = this.pressed = null));
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.dragged = null;
  }

  key(event) {
    const step = event.shiftKey ? 0.25 : 0.05;
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    const at = this.starts[this.chosen];
    if (event.key in ways) this.move(this.chosen, at.map((value, c) => value + ways[event.key][c]));
    else if (event.key === "n" || event.key === "N") this.choose();
    else if (event.key === "Enter") this.add();
    else if (event.key === "Delete" || event.key === "Backspace") this.remove();
    else return;
    event.preventDefault();
  }

  choose() {
    this.chosen = (this.chosen + 1) % this.starts.length;
    this.draw();
  }
}

const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

function circle(pen, x, y, r) {
  pen.beginPath();
  pen.arc(x, y, r, 0, 2 * Math.PI);
}

for (const host of document.querySelectorAll(".playground")) host.playground = new Playground(host);

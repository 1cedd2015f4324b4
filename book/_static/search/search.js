// The search page: asks the index for the words in the field, as they are typed, and lists sections.
// Opened as a file, a page may load no index: then Sphinx's own search answers, which knows pages only.
{
  const AT_ONCE = 8;
  const place = document.querySelector("#search-results");
  const field = document.querySelector(".bd-search-container input[type=search]") || document.querySelector("input[type=search]");
  const base = new URL("../../", document.currentScript.src).href;

  const element = (name, content = {}, ...children) => {
    const made = Object.assign(document.createElement(name), content);
    made.append(...children);
    return made;
  };

  // An excerpt has <mark> for what was found and escapes the rest.
  const section = (one) =>
    element("li", {}, element("a", { href: one.url, textContent: one.title }), element("p", { innerHTML: one.excerpt }));

  async function entry(result) {
    const page = await result.data();
    const inside = page.sub_results.filter((one) => one.url.includes("#") && one.title !== page.meta.title);
    const [top] = page.sub_results.filter((one) => !inside.includes(one));
    const item = element("li", {}, element("a", { href: page.url, textContent: page.meta.title }));
    if (top) item.append(element("p", { innerHTML: top.excerpt }));
    if (inside.length) item.append(element("ul", {}, ...inside.map(section)));
    return item;
  }

  const told = element("p", { role: "status" });
  const list = element("ul", { className: "search" });
  let asked = 0;

  async function show(found, from, turn) {
    const items = await Promise.all(found.slice(from, from + AT_ONCE).map(entry));
    if (turn !== asked) return;
    list.append(...items);
    place.querySelector("button")?.remove();
    if (found.length <= from + AT_ONCE) return;
    const more = element("button", { type: "button", className: "btn btn-sm btn-outline-secondary", textContent: "Show more pages" });
    more.addEventListener("click", () => show(found, from + AT_ONCE, turn));
    place.append(more);
  }

  async function search(pagefind, words) {
    const turn = ++asked;
    const { results } = words.trim() ? await pagefind.search(words) : { results: [] };
    if (turn !== asked) return;
    list.replaceChildren();
    place.querySelector("button")?.remove();
    const pages = results.length === 1 ? "1 page" : `${results.length} pages`;
    told.textContent = words.trim() ? `Found on ${pages}: ${words}` : "";
    await show(results, 0, turn);
  }

  const script = (src) =>
    new Promise((resolve) => document.head.append(element("script", { src: base + src, onload: resolve })));

  async function without_index() {
    for (const src of ["_static/language_data.js", "_static/searchtools.js", "searchindex.js"]) await script(src);
  }

  async function start() {
    const words = new URLSearchParams(location.search).get("q") || "";
    field.value = words;
    if (location.protocol === "file:") return without_index();
    place.replaceChildren(told, list);
    const pagefind = await import(`${base}pagefind/pagefind.js`);
    await pagefind.options({ excerptLength: 24 });
    let waiting;
    field.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => search(pagefind, field.value), 150);
    });
    await search(pagefind, field.value);
  }
  start();
}

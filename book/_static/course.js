// What only some pages have comes only to those. Pages opened from a folder may not load modules: the builder has made
// one plain script of the playground's.
{
  const here = document.currentScript.src;
  const load = (path) => document.head.append(Object.assign(document.createElement("script"), { src: new URL(path, here) }));

  addEventListener("DOMContentLoaded", () => {
    const places = document.querySelectorAll(".playground");
    const sorry = "This playground comes from a server: run make serve, or read the published site.";
    if (places.length && location.protocol === "file:") load("playground/whole.js");
    else if (places.length) import("./playground/playground.js").catch(() => places.forEach((one) => (one.textContent = sorry)));
    if (document.querySelector(".quiz, .quiz-progress")) load("quiz/quiz.js");
    if (new URLSearchParams(location.search).has("slides")) load("slides/slides.js");
  });
}

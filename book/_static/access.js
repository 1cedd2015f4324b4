// Names for what scripts draw after the page was built, and a place in the order of keys for what only scrolls.

// The text that describes an animation stands after its cell, hidden from the eye.
const described = (element) => {
  const next = element.closest(".cell")?.nextElementSibling;
  return next?.matches(".visually-hidden") ? next.textContent.trim() : "";
};

function nameThings() {
  for (const image of document.querySelectorAll(".animation img:not([alt])"))
    image.alt = described(image) || "the picture that the controls change";
  for (const range of document.querySelectorAll(".anim-slider:not([aria-label])"))
    range.setAttribute("aria-label", "frame of the animation");
  for (const input of document.querySelectorAll(".course-quiz input:not([aria-label]):not([type=radio]):not([type=checkbox])"))
    if (!input.labels?.length) input.setAttribute("aria-label", "your answer");
}

// Keys can scroll only what can have the focus.
const SCROLLS = "mjx-container[display], .output, .cell_output, .claim, pre, .pst-scrollable-table-container, .table-wrapper, div.math";
function reach() {
  for (const one of document.querySelectorAll(`article :is(${SCROLLS})`)) {
    const scrolls = /auto|scroll/.test(getComputedStyle(one).overflowX) && one.scrollWidth > one.clientWidth;
    if (scrolls && !one.hasAttribute("tabindex")) one.tabIndex = 0;
    else if (!scrolls && one.getAttribute("tabindex") === "0") one.removeAttribute("tabindex");
  }
}

nameThings();
new MutationObserver(nameThings).observe(document.querySelector("article") || document.body, { childList: true, subtree: true });
addEventListener("load", () => (window.MathJax?.startup?.promise || Promise.resolve()).then(reach));
let waiting;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(reach, 200);
});

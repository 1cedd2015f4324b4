// The sliders' script asks for the formulas of MathJax 2; this site has MathJax 3, which sets them without being asked.
addEventListener("DOMContentLoaded", () => {
  if (window.MathJax && !MathJax.Hub) MathJax.Hub = { Queue() {} };
});

// The playground comes only to pages that have one.
addEventListener("DOMContentLoaded", () => {
  if (document.querySelector(".playground")) import("./playground/playground.js");
});

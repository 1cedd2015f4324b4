// The sliders' script asks for the formulas of MathJax 2; this site has MathJax 3, which sets them without being asked.
addEventListener("DOMContentLoaded", () => {
  if (window.MathJax && !MathJax.Hub) MathJax.Hub = { Queue() {} };
});

// The playground comes only to pages that have one.
addEventListener("DOMContentLoaded", () => {
  const places = document.querySelectorAll(".playground");
  const sorry = "This playground comes from a server: run make serve, or read the published site.";
  if (places.length) import("./playground/playground.js").catch(() => places.forEach((one) => (one.textContent = sorry)));
});

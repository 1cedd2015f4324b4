// The sliders' script asks for the formulas of MathJax 2; this site has MathJax 3, which sets them without being asked.
addEventListener("DOMContentLoaded", () => {
  if (window.MathJax && !MathJax.Hub) MathJax.Hub = { Queue() {} };
});

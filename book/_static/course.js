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

// So do quizzes, as a plain script, which also runs on pages opened from a folder.
const quizzes = new URL("quiz/quiz.js", document.currentScript.src);
addEventListener("DOMContentLoaded", () => {
  if (document.querySelector(".quiz, .quiz-progress")) {
    document.head.append(Object.assign(document.createElement("script"), { src: quizzes }));
  }
});

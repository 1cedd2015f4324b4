// Quizzes: answered by a button, judged in words, kept in this browser and sent nowhere.
(() => {
  const KEEP = "diverse-diffusion-quizzes"; // chapter -> question -> whether it was ever answered correctly
  let unkept = {}; // where the browser keeps nothing, answers last as long as the page

  function kept() {
    try {
      return JSON.parse(localStorage.getItem(KEEP)) || {};
    } catch {
      return unkept;
    }
  }

  function keep(all) {
    unkept = all;
    try {
      localStorage.setItem(KEEP, JSON.stringify(all));
    } catch {
      /* the progress page says so */
    }
    show();
  }

  // The numbers a text may stand for: 0.5, 0,5 and 1/2; 1,000 may be one or a thousand.
  function numbers(text) {
    const plain = text.trim().replace(/[−–]/g, "-").replace(/\s/g, "");
    const one = (t) => (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(t) ? [Number(t)] : []);
    const [top, below, ...more] = plain.split("/").map((t) => one(t.replace(",", ".")));
    if (below) return more.length || !top.length || !below[0] ? [] : [top[0] / below[0]];
    const grouped = /^[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?$/.test(plain) ? one(plain.replaceAll(",", "")) : [];
    return [...top, ...grouped];
  }

  const near = (a, b) => Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b));
  const fits = (x, due) => (Array.isArray(due) ? x >= due[0] && x <= due[1] : near(x, due));

  // What is said to an answer: {missing} where there is none yet, else {correct, lines}.
  function judged(form) {
    const { kind, answers, otherwise } = JSON.parse(form.dataset.key);
    if (kind === "number") {
      const text = form.querySelector("input").value;
      if (!text.trim()) return { missing: "Type a number first." };
      const values = numbers(text);
      if (!values.length) return { missing: "That is no number: write it as 0.5, 0,5 or 1/2." };
      const found = answers.filter((one) => values.some((x) => fits(x, one.answer)));
      const said = found.find((one) => one.correct) || found[0] || { correct: false, feedback: otherwise };
      return { correct: said.correct, lines: [said.feedback] };
    }
    const chosen = [...form.querySelectorAll("input:checked")].map((input) => answers[input.value]);
    if (!chosen.length) return { missing: "Choose an answer first." };
    if (kind === "one") return { correct: chosen[0].correct, lines: [chosen[0].feedback] };
    const due = answers.filter((one) => one.correct).length;
    const right = chosen.filter((one) => one.correct).length;
    const lines = chosen.map((one) => `${one.correct ? "✓" : "✗"} ${one.answer}: ${one.feedback}`);
    if (right < due) lines.push(right < chosen.length ? "Others hold." : "These hold, and they are not all.");
    return { correct: right === due && chosen.length === due, lines };
  }

  function tell(form, { missing, correct, lines }) {
    const place = form.querySelector(".quiz-told");
    const told = missing ? [missing] : [`${correct ? "Correct." : "Not correct."} ${lines[0]}`, ...lines.slice(1)];
    form.dataset.result = missing ? "missing" : correct ? "correct" : "wrong";
    place.replaceChildren(...told.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
  }

  function answer(event) {
    event.preventDefault();
    const form = event.target;
    const result = judged(form);
    tell(form, result);
    if (result.missing) return;
    const all = kept();
    const mine = (all[form.closest(".quiz").dataset.chapter] ??= {});
    mine[form.dataset.id] = result.correct || mine[form.dataset.id] === true;
    keep(all);
  }

  function forget(form) {
    delete form.dataset.result;
    form.querySelector(".quiz-told").replaceChildren();
  }

  // How many of these questions were answered, and how many of them correctly.
  function count(chapter, ids) {
    const mine = kept()[chapter] || {};
    const answered = ids.filter((id) => id in mine);
    return { answered: answered.length, correct: answered.filter((id) => mine[id] === true).length };
  }

  function show() {
    for (const quiz of document.querySelectorAll(".quiz")) {
      const ids = [...quiz.querySelectorAll("form")].map((form) => form.dataset.id);
      const { answered, correct } = count(quiz.dataset.chapter, ids);
      const line = quiz.querySelector(".quiz-kept");
      line.hidden = !answered;
      line.firstElementChild.textContent =
        `Answered: ${answered} of ${ids.length}, ${correct} correctly. This is kept in this browser and sent nowhere.`;
    }
    for (const row of document.querySelectorAll(".quiz-progress tbody tr")) {
      const { answered, correct } = count(row.dataset.chapter, JSON.parse(row.dataset.questions));
      row.cells[3].textContent = answered;
      row.cells[4].textContent = correct;
      row.classList.toggle("complete", correct === Number(row.cells[2].textContent));
    }
  }

  function progress(place) {
    const status = place.querySelector("[role=status]");
    place.querySelector("button").addEventListener("click", () => {
      if (!confirm("Forget all answers to quizzes that this browser has kept?")) return;
      try {
        localStorage.removeItem(KEEP);
      } catch {
        /* nothing was kept */
      }
      unkept = {};
      show();
      status.textContent = "All answers are cleared.";
    });
    try {
      localStorage.getItem(KEEP);
    } catch {
      status.textContent = "This browser keeps nothing for this site, so there is no progress to show.";
    }
  }

  for (const form of document.querySelectorAll(".quiz form")) {
    form.hidden = false;
    form.addEventListener("submit", answer);
    form.addEventListener("input", () => forget(form));
  }
  document.querySelectorAll(".quiz-progress").forEach(progress);
  addEventListener("storage", show);
  addEventListener("pageshow", show);
  show();
})();

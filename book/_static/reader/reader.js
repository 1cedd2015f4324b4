// What a reader writes under a question is kept in this browser and sent nowhere.
(() => {
  const KEEP = "diverse-diffusion-predictions"; // question -> what was predicted
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(KEEP)) || {};
  } catch {
    /* nothing is kept here: what is written lasts as long as the page */
  }

  for (const box of document.querySelectorAll("textarea[data-prediction]")) {
    box.value = kept[box.dataset.prediction] ?? box.value;
    box.addEventListener("input", () => {
      kept[box.dataset.prediction] = box.value;
      try {
        localStorage.setItem(KEEP, JSON.stringify(kept));
      } catch {
        /* as above */
      }
    });
  }
})();

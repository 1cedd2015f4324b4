// Two lists over the ledger that leave the rows of one verdict, of one chapter. Without this script all rows are shown.
{
  const rows = [...document.querySelectorAll("tr[data-verdict]")];
  const form = document.createElement("form");
  form.className = "ledger-filter";
  const told = document.createElement("p");
  told.setAttribute("role", "status");

  // A list of the values that the rows have, behind "all".
  function choice(name, title) {
    const values = [...new Set(rows.map((row) => row.dataset[name]))];
    const select = document.createElement("select");
    select.name = name;
    select.append(new Option("all", ""), ...values.map((value) => new Option(value, value)));
    const label = document.createElement("label");
    label.append(title, select);
    return label;
  }

  function show() {
    const wanted = [...new FormData(form)].filter(([, value]) => value);
    for (const row of rows) row.hidden = wanted.some(([name, value]) => row.dataset[name] !== value);
    for (const table of document.querySelectorAll("table.ledger")) {
      const section = table.closest("section");
      section.hidden = ![...section.querySelectorAll("tr[data-verdict]")].some((row) => !row.hidden);
    }
    told.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} claims`;
  }

  // A link to a row shows it, whatever was chosen.
  function reveal() {
    const row = document.getElementById(location.hash.slice(1));
    if (!row?.hidden) return;
    form.reset();
    show();
    row.scrollIntoView();
  }

  if (rows.length) {
    form.append(choice("verdict", "Verdict"), choice("chapter", "Chapter"), told);
    form.addEventListener("change", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    const first = document.querySelector("table.ledger").closest("section");
    first.before(form);
    addEventListener("hashchange", reveal);
    show();
  }
}

// Before the page is drawn: ?embed leaves the text alone, for the frame of a learning system.
{
  const embedded = new URLSearchParams(location.search).has("embed");
  if (embedded) document.documentElement.classList.add("embedded");

  // Links to other pages of the course stay in the frame, as it is.
  addEventListener("DOMContentLoaded", () => {
    if (!embedded) return;
    for (const link of document.querySelectorAll("a[href]")) {
      const url = new URL(link.href, location.href);
      const page = url.origin === location.origin && url.pathname.endsWith(".html");
      if (!page || url.pathname === location.pathname) continue;
      url.searchParams.set("embed", "");
      link.href = url.href;
    }
  });

  // Paper is white: the page is printed in light colours, whatever it was read in.
  const root = document.documentElement;
  let before;
  const toPaper = () => {
    before ??= root.dataset.theme;
    root.dataset.theme = "light";
  };
  const toScreen = () => {
    if (before) root.dataset.theme = before;
    before = undefined;
  };
  addEventListener("beforeprint", toPaper);
  addEventListener("afterprint", toScreen);
  matchMedia("print").addEventListener("change", ({ matches }) => (matches ? toPaper() : toScreen()));
}

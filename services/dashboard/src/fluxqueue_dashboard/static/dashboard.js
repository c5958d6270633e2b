// Live parts, the keyboard, and the choice of dark or light. Every page works without it.
(() => {
  "use strict";
  const root = new URL("..", document.currentScript.src).pathname.replace(/\/$/, "");

  // Live parts: the server sends the HTML of elements by their ids. A hidden page hears nothing.
  const live = document.body.dataset.live;
  let source = null;
  const follow = () => {
    if (!live || source || document.hidden) return;
    source = new EventSource(live);
    source.onmessage = (event) => {
      const parts = JSON.parse(event.data);
      for (const [id, html] of Object.entries(parts)) {
        const element = document.getElementById(id);
        // Neither what has the focus nor a selected text is taken away.
        if (!element || element.contains(document.activeElement)) continue;
        const selection = getSelection();
        if (selection && !selection.isCollapsed && element.contains(selection.anchorNode)) continue;
        element.innerHTML = html;
      }
      document.documentElement.dataset.live = "on";
    };
    source.onerror = () => { document.documentElement.dataset.live = "lost"; };
  };
  const leave = () => {
    if (source) source.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", follow);

  // Dark or light.
  const theme = document.querySelector(".theme");
  if (theme) {
    theme.hidden = false;
    theme.addEventListener("click", () => {
      const page = document.documentElement;
      const dark = page.dataset.theme
        ? page.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
      page.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem("fluxqueue-theme", page.dataset.theme); } catch { /* not kept */ }
    });
  }

  // One box chooses all rows of a page.
  const arm = () => {
    for (const all of document.querySelectorAll("input[data-all]")) {
      all.hidden = false;
      all.onchange = () => {
        for (const box of all.closest("table").querySelectorAll("tbody input[type=checkbox]")) {
          box.checked = all.checked;
        }
      };
    }
  };
  arm();
  document.addEventListener("htmx:afterSettle", arm);

  // Only one question is open at a time, and Escape closes it.
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches?.("details.confirm[open]")) return;
    for (const other of document.querySelectorAll("details.confirm[open]")) {
      if (other !== event.target) other.open = false;
    }
  }, true);

  // The keyboard.
  const pages = { o: "/", d: "/dead", w: "/workers", p: "/periodic", l: "/limits",
    c: "/dead/groups", j: "/jobs", s: "/strikes", u: "/locks", a: "/audit" };
  const help = document.querySelector("dialog.keys");
  let goes = false;
  const rows = () => [...document.querySelectorAll("tbody tr")].filter((row) => row.querySelector("a"));
  const step = (by) => {
    const found = rows();
    const at = found.findIndex((row) => row.contains(document.activeElement));
    const next = found[at < 0 ? (by > 0 ? 0 : found.length - 1) : at + by];
    if (next) next.querySelector("a").focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      for (const open of document.querySelectorAll("details.confirm[open]")) {
        open.open = false;
        open.querySelector("summary").focus();
      }
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select, textarea")) return;
    if (goes) {
      goes = false;
      if (pages[event.key]) location.assign(root + pages[event.key]);
      return;
    }
    if (event.key === "/") {
      event.preventDefault();
      document.querySelector(".find input").focus();
    } else if (event.key === "?") {
      help.showModal();
    } else if (event.key === "g") {
      goes = true;
    } else if (event.key === "j" || event.key === "k") {
      step(event.key === "j" ? 1 : -1);
    }
  });
})();

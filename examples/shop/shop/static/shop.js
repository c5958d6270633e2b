// Keeps the list of orders fresh. Without this script the page shows the state
// at the time it was loaded.
"use strict";

const recent = document.getElementById("recent");
let shown = "";

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/recent", { signal: AbortSignal.timeout(5000) });
      const html = await answer.text();
      // Replaced only when it differs: a link keeps its focus meanwhile.
      if (answer.ok && html !== shown && !recent.contains(document.activeElement)) {
        recent.innerHTML = shown = html;
      }
    } catch {
      // The shop is away; it is asked again.
    }
  }
  setTimeout(refresh, 700);
}

refresh();

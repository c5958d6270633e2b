// Sets dark or light before the page is drawn, if the visitor has chosen one.
(() => {
  try {
    const chosen = localStorage.getItem("fluxqueue-theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch { /* no storage: the system decides */ }
})();

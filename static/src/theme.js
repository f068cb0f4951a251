// Runs before the page is drawn, so that the theme does not flash.
(() => {
  const wanted = localStorage.getItem("theme") || "auto";
  const dark = wanted === "dark" || (wanted === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
  document.documentElement.dataset.themeChoice = wanted;
})();

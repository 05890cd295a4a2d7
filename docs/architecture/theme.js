(function () {
  var root = document.documentElement, kept = null;
  try { kept = localStorage.getItem("c4-theme"); } catch (error) { /* storage is off: follow the system */ }
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  document.addEventListener("DOMContentLoaded", function () {
    var button = document.getElementById("theme");
    button.hidden = false;
    button.addEventListener("click", function () {
      var dark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem("c4-theme", root.dataset.theme); } catch (error) { /* not kept */ }
    });
  });
})();

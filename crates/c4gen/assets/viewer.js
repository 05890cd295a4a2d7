(function () {
  var box = document.querySelector("[data-viewer]"), svg = box.querySelector("svg");
  var width = svg.width.baseVal.value, height = svg.height.baseVal.value;
  var view, scale, moved = false, start = null;
  box.classList.add("live");
  box.querySelector(".tools").hidden = false;

  function show() { svg.setAttribute("viewBox", [view.x, view.y, box.clientWidth / scale, box.clientHeight / scale].join(" ")); }
  function fit() {
    scale = Math.min(box.clientWidth / width, box.clientHeight / height, 1.25);
    view = { x: (width - box.clientWidth / scale) / 2, y: (height - box.clientHeight / scale) / 2 };
    show();
  }
  function zoom(factor, x, y) {
    var next = Math.max(0.1, Math.min(4, scale * factor));
    view.x += x / scale - x / next;
    view.y += y / scale - y / next;
    scale = next;
    show();
  }
  function middle(factor) { zoom(factor, box.clientWidth / 2, box.clientHeight / 2); }

  svg.setAttribute("width", "100%");
  svg.setAttribute("height", "100%");
  // Opens large enough to read; the whole is one key away.
  fit();
  if (scale < 0.62) {
    scale = 0.62;
    view = { x: Number(box.dataset.home) - box.clientWidth / scale / 2, y: 0 };
    show();
  }
  addEventListener("resize", show);
  box.addEventListener("wheel", function (event) {
    event.preventDefault();
    var at = box.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - at.left, event.clientY - at.top);
  }, { passive: false });
  box.addEventListener("pointerdown", function (event) {
    if (event.button !== 0 || event.target.closest(".tools")) return;
    start = { x: event.clientX, y: event.clientY, view: { x: view.x, y: view.y } };
    moved = false;
  });
  addEventListener("pointermove", function (event) {
    if (!start) return;
    var x = event.clientX - start.x, y = event.clientY - start.y;
    if (Math.hypot(x, y) > 4) { moved = true; box.classList.add("dragging"); }
    if (!moved) return;
    view = { x: start.view.x - x / scale, y: start.view.y - y / scale };
    show();
  });
  addEventListener("pointerup", function () { start = null; box.classList.remove("dragging"); });
  box.addEventListener("click", function (event) { if (moved) { event.preventDefault(); moved = false; } }, true);
  box.addEventListener("dragstart", function (event) { event.preventDefault(); });
  box.querySelector(".tools").addEventListener("click", function (event) {
    var what = event.target.dataset.zoom;
    if (what === "in") middle(1.25);
    if (what === "out") middle(0.8);
    if (what === "fit") fit();
  });
  addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") middle(1.25);
    if (event.key === "-") middle(0.8);
    if (event.key === "0") fit();
  });

  // A box under the pointer or the focus dims what is not one arrow away.
  function near(id) {
    svg.querySelectorAll(".near").forEach(function (part) { part.classList.remove("near"); });
    svg.classList.toggle("focused", !!id);
    if (!id) return;
    var ends = {};
    ends[id] = true;
    svg.querySelectorAll("[data-from]").forEach(function (part) {
      if (part.dataset.from !== id && part.dataset.to !== id) return;
      part.classList.add("near");
      ends[part.dataset.from] = ends[part.dataset.to] = true;
    });
    svg.querySelectorAll("[data-id]").forEach(function (part) { if (ends[part.dataset.id]) part.classList.add("near"); });
  }
  svg.querySelectorAll("[data-id]").forEach(function (part) {
    var target = part.closest("a") || part;
    target.addEventListener("pointerenter", function () { if (!start) near(part.dataset.id); });
    target.addEventListener("pointerleave", function () { near(null); });
    target.addEventListener("focus", function () { near(part.dataset.id); });
    target.addEventListener("blur", function () { near(null); });
  });

  // #el=raw_lake goes there.
  function go() {
    var id = decodeURIComponent(location.hash.slice(1)), part = id && document.getElementById(id);
    if (!part || !svg.contains(part)) return;
    var at = part.getBBox();
    scale = 1;
    view = { x: at.x + at.width / 2 - box.clientWidth / 2, y: at.y + at.height / 2 - box.clientHeight / 2 };
    show();
    near(part.dataset.id);
  }
  addEventListener("hashchange", go);
  go();
})();

(function () {
  "use strict";

  // A diagram can be dragged and zoomed. Without this script it is scrolled, and everything else works.
  function viewer(box) {
    var svg = box.querySelector("svg"), tools = box.previousElementSibling;
    var width = svg.width.baseVal.value, height = svg.height.baseVal.value;
    var view, scale, moved = false, start = null, pointers = {};
    box.classList.add("live");
    if (height < 460) box.style.height = Math.ceil(height + 24) + "px";
    svg.setAttribute("width", "100%");
    svg.setAttribute("height", "100%");

    var frame = null;
    function show() {
      svg.setAttribute("viewBox", [view.x, view.y, box.clientWidth / scale, box.clientHeight / scale].join(" "));
      if (frame) put(frame, { x: view.x, y: view.y, width: box.clientWidth / scale, height: box.clientHeight / scale });
    }
    function put(part, sizes) { Object.keys(sizes).forEach(function (name) { part.setAttribute(name, sizes[name]); }); return part; }
    function fit() {
      scale = Math.min(box.clientWidth / width, box.clientHeight / height, 1.1);
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
    function move(x, y) { view.x += x / scale; view.y += y / scale; show(); }

    // Opens large enough to read; the whole is one key away. What fits as it is needs no buttons.
    fit();
    tools.hidden = scale > 0.9;
    if (scale < 0.95) {
      scale = 0.95;
      view = { x: Number(box.dataset.home) - box.clientWidth / scale / 2, y: 0 };
      if (view.x < 0 && width > box.clientWidth / scale) view.x = 0;
      // A narrow window would open between the boxes; it opens on the one that is nearest.
      var wide = box.clientWidth / scale, high = box.clientHeight / scale, nearest = null;
      svg.querySelectorAll(".node .body").forEach(function (body) {
        var at = body.getBBox(), x = at.x + at.width / 2 - view.x - wide / 2, y = at.y + at.height / 2 - view.y - high / 2;
        var outside = Math.max(0, Math.abs(x) + at.width / 2 - wide / 2) + Math.max(0, Math.abs(y) + at.height / 2 - high / 2);
        if (!nearest || outside < nearest.outside) nearest = { x: x, y: y, outside: outside };
      });
      if (nearest && nearest.outside > 0) { view.x += nearest.x; view.y = Math.max(0, view.y + nearest.y); }
      show();
    }
    // A picture that does not fit gets a small one of itself, which says where one is and leads elsewhere.
    // It is for the pointer; the keyboard has keys of its own.
    if (Math.min(box.clientWidth / width, box.clientHeight / height) < 0.7) {
      var space = "http://www.w3.org/2000/svg", map = document.createElementNS(space, "svg");
      put(map, { "class": "minimap", "aria-hidden": "true", viewBox: "0 0 " + width + " " + height });
      var size = Math.min(190 / width, 150 / height, box.clientWidth * 0.3 / width);
      put(map, { width: Math.round(width * size), height: Math.round(height * size) });
      svg.querySelectorAll(".bound, .node .body").forEach(function (part) {
        var at = part.getBBox();
        put(map.appendChild(document.createElementNS(space, "rect")), { x: at.x, y: at.y, width: at.width, height: at.height, "class": part.classList.contains("body") ? "small-box" : "small-border" });
      });
      frame = put(map.appendChild(document.createElementNS(space, "rect")), { "class": "frame" });
      box.appendChild(map);
      var lead = function (event) {
        var at = map.getBoundingClientRect();
        view.x = (event.clientX - at.left) / size - box.clientWidth / scale / 2;
        view.y = (event.clientY - at.top) / size - box.clientHeight / scale / 2;
        show();
        event.stopPropagation();
      };
      map.addEventListener("pointerdown", function (event) { map.setPointerCapture(event.pointerId); lead(event); });
      map.addEventListener("pointermove", function (event) { if (event.buttons) lead(event); });
      map.addEventListener("click", function (event) { event.stopPropagation(); });
      show();
    }
    addEventListener("resize", show);
    box.addEventListener("wheel", function (event) {
      event.preventDefault();
      var at = box.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - at.left, event.clientY - at.top);
    }, { passive: false });
    box.addEventListener("pointerdown", function (event) {
      if (event.button !== 0) return;
      pointers[event.pointerId] = event;
      start = { x: event.clientX, y: event.clientY, view: { x: view.x, y: view.y } };
      moved = false;
    });
    addEventListener("pointermove", function (event) {
      if (!start || !pointers[event.pointerId]) return;
      var ids = Object.keys(pointers);
      if (ids.length === 2) {
        var other = pointers[ids[0] === String(event.pointerId) ? ids[1] : ids[0]], last = pointers[event.pointerId];
        var before = Math.hypot(last.clientX - other.clientX, last.clientY - other.clientY);
        var now = Math.hypot(event.clientX - other.clientX, event.clientY - other.clientY), at = box.getBoundingClientRect();
        if (before > 0) zoom(now / before, (event.clientX + other.clientX) / 2 - at.left, (event.clientY + other.clientY) / 2 - at.top);
        pointers[event.pointerId] = event;
        moved = true;
        return;
      }
      var x = event.clientX - start.x, y = event.clientY - start.y;
      if (Math.hypot(x, y) > 4) { moved = true; box.classList.add("dragging"); }
      if (!moved) return;
      view = { x: start.view.x - x / scale, y: start.view.y - y / scale };
      show();
    });
    function release(event) { delete pointers[event.pointerId]; start = null; box.classList.remove("dragging"); }
    addEventListener("pointerup", release);
    addEventListener("pointercancel", release);
    box.addEventListener("click", function (event) { if (moved) { event.preventDefault(); moved = false; } }, true);
    box.addEventListener("dragstart", function (event) { event.preventDefault(); });
    tools.addEventListener("click", function (event) {
      var what = event.target.dataset.zoom;
      if (what === "in") middle(1.25);
      if (what === "out") middle(0.8);
      if (what === "fit") fit();
    });
    box.addEventListener("keydown", function (event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      var step = 80, used = true;
      if (event.key === "+" || event.key === "=") middle(1.25);
      else if (event.key === "-") middle(0.8);
      else if (event.key === "0") fit();
      else if (event.key === "ArrowLeft") move(-step, 0);
      else if (event.key === "ArrowRight") move(step, 0);
      else if (event.key === "ArrowUp") move(0, -step);
      else if (event.key === "ArrowDown") move(0, step);
      else used = false;
      if (used) event.preventDefault();
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
    // What the keyboard reaches is shown.
    function reveal(part) {
      var at = part.getBoundingClientRect(), frame = box.getBoundingClientRect();
      if (at.left >= frame.left && at.right <= frame.right && at.top >= frame.top && at.bottom <= frame.bottom) return;
      move((at.left + at.right) / 2 - (frame.left + frame.right) / 2, (at.top + at.bottom) / 2 - (frame.top + frame.bottom) / 2);
    }
    svg.querySelectorAll("a").forEach(function (link) {
      var part = link.querySelector("[data-id]");
      link.addEventListener("focus", function () { box.scrollTop = box.scrollLeft = 0; reveal(link); if (part) near(part.dataset.id); });
      link.addEventListener("blur", function () { near(null); });
      if (!part) return;
      link.addEventListener("pointerenter", function () { if (!start) near(part.dataset.id); });
      link.addEventListener("pointerleave", function () { near(null); });
    });

    // #el=raw_lake goes there.
    function go() {
      var id = decodeURIComponent(location.hash.slice(1).split("&")[0]), part = id && document.getElementById(id);
      if (!part || !svg.contains(part)) return;
      var at = part.getBBox();
      scale = 1;
      view = { x: at.x + at.width / 2 - box.clientWidth / 2, y: at.y + at.height / 2 - box.clientHeight / 2 };
      show();
      near(part.dataset.id);
    }
    addEventListener("hashchange", go);
    go();
  }
  document.querySelectorAll("[data-viewer]").forEach(viewer);

  // Switches are kept in the address, so that a page can be sent as it is seen.
  var boxes = [].slice.call(document.querySelectorAll(".chip-box"));
  function state() { return new URLSearchParams(location.hash.slice(1)); }
  var kept = state();
  boxes.forEach(function (box) {
    if (box.type === "checkbox") { if ((kept.get("hide") || "").split(",").indexOf(box.id.slice(5)) >= 0) box.checked = false; }
    else if (kept.get("when") === box.id.slice(5)) box.checked = true;
    box.addEventListener("change", function () {
      var now = state(), hidden = boxes.filter(function (one) { return one.type === "checkbox" && !one.checked; });
      now.delete("hide");
      if (hidden.length) now.set("hide", hidden.map(function (one) { return one.id.slice(5); }).join(","));
      if (box.type === "radio") now.set("when", box.id.slice(5));
      history.replaceState(null, "", "#" + now.toString().replace(/%2C/g, ","));
    });
  });

  // What holds every word stays: rows of a table, boxes and arrows of a picture; an owner, a technology, a name.
  function holds(text, words) { text = text.toLowerCase(); return words.every(function (word) { return text.indexOf(word) >= 0; }); }
  function sift(words) {
    document.querySelectorAll("[data-filtered] tbody tr").forEach(function (row) {
      row.hidden = !holds(row.textContent + " " + (row.dataset.owner || ""), words);
    });
    document.querySelectorAll("[data-viewer] svg:not(.minimap)").forEach(function (svg) {
      var ends = {}, all = words.join("");
      svg.classList.toggle("sifted", !!all);
      svg.querySelectorAll(".kept").forEach(function (part) { part.classList.remove("kept"); });
      if (!all) return;
      // The line and the label of an arrow stay or go together.
      var arrows = {};
      svg.querySelectorAll("[data-from]").forEach(function (part) {
        var name = part.dataset.from + " " + part.dataset.to;
        (arrows[name] = arrows[name] || []).push(part);
      });
      Object.keys(arrows).forEach(function (name) {
        var parts = arrows[name];
        if (!parts.some(function (part) { return holds(part.textContent + " " + (part.dataset.owner || ""), words); })) return;
        parts.forEach(function (part) { part.classList.add("kept"); });
        ends[parts[0].dataset.from] = ends[parts[0].dataset.to] = true;
      });
      svg.querySelectorAll("[data-id]").forEach(function (part) {
        if (ends[part.dataset.id] || holds(part.textContent + " " + (part.dataset.owner || ""), words)) part.classList.add("kept");
      });
    });
  }
  var filter = document.querySelector("[data-filter]");
  if (filter) {
    filter.closest(".filter").hidden = false;
    filter.value = state().get("only") || "";
    var sieve = function () {
      var now = state(), text = filter.value.trim();
      now.delete("only");
      if (text) now.set("only", text);
      history.replaceState(null, "", "#" + now.toString().replace(/%2C/g, ","));
      sift(text.toLowerCase().split(/\s+/));
    };
    filter.addEventListener("input", sieve);
    if (filter.value) sieve();
  }

  // Search: what it knows is loaded when it is first wanted.
  var search = document.getElementById("search"), found = document.getElementById("found"), chosen = -1, asked = false;
  search.parentNode.hidden = false;
  function load() {
    if (asked) return;
    asked = true;
    var script = document.createElement("script");
    script.src = "search.js";
    script.onload = list;
    document.head.appendChild(script);
  }
  // One letter too many, too few, wrong, or two exchanged.
  function isNear(text, word) {
    return text.split(/[^a-z0-9]+/).some(function (other) {
      if (Math.abs(other.length - word.length) > 1) return false;
      var at = 0;
      while (at < word.length && other[at] === word[at]) at++;
      return other.slice(at + 1) === word.slice(at + 1) || other.slice(at + 1) === word.slice(at) || other.slice(at) === word.slice(at + 1)
        || (other[at] === word[at + 1] && other[at + 1] === word[at] && other.slice(at + 2) === word.slice(at + 2));
    });
  }
  function rank(entry, words) {
    var name = entry[0].toLowerCase(), all = (entry[0] + " " + entry[1]).toLowerCase(), score = 0;
    for (var i = 0; i < words.length; i++) {
      var at = name.indexOf(words[i]);
      if (at === 0) score += 4;
      else if (at > 0) score += name[at - 1] === " " ? 3 : 2;
      else if (all.indexOf(words[i]) >= 0) score += 1;
      else if (words[i].length > 3 && isNear(all, words[i])) score += 0.5;
      else return 0;
    }
    return score + 1 / (1 + name.length);
  }
  function list() {
    var words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    found.textContent = "";
    chosen = -1;
    var hits = words.length && window.c4search ? window.c4search
      .map(function (entry) { return [rank(entry, words), entry]; })
      .filter(function (hit) { return hit[0] > 0; })
      .sort(function (one, other) { return other[0] - one[0]; })
      .slice(0, 12) : [];
    hits.forEach(function (hit) {
      var item = document.createElement("li"), link = document.createElement("a"), about = document.createElement("span");
      link.href = hit[1][2];
      link.textContent = hit[1][0];
      about.textContent = hit[1][1];
      link.appendChild(about);
      item.appendChild(link);
      found.appendChild(item);
    });
    found.hidden = !hits.length;
  }
  search.addEventListener("focus", load);
  search.addEventListener("input", function () { load(); list(); });
  search.addEventListener("keydown", function (event) {
    var links = found.querySelectorAll("a");
    if (event.key === "ArrowDown" && links.length) { event.preventDefault(); links[0].focus(); }
    if (event.key === "Enter" && links.length) { event.preventDefault(); links[0].click(); }
    if (event.key === "Escape") { search.value = ""; list(); search.blur(); }
  });
  found.addEventListener("keydown", function (event) {
    var links = [].slice.call(found.querySelectorAll("a")), at = links.indexOf(document.activeElement);
    if (event.key === "ArrowDown" && links[at + 1]) { event.preventDefault(); links[at + 1].focus(); }
    if (event.key === "ArrowUp") { event.preventDefault(); (links[at - 1] || search).focus(); }
    if (event.key === "Escape") { found.hidden = true; search.focus(); }
  });
  addEventListener("click", function (event) { if (!event.target.closest(".search")) found.hidden = true; });
  addEventListener("keydown", function (event) {
    var typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
    if ((event.key === "/" && !typing) || (event.key === "k" && (event.ctrlKey || event.metaKey))) { event.preventDefault(); search.focus(); }
  });
})();

"use strict";
// Sorts, filters, hides rows, reads charts out and steps the sample grids. It makes no request and
// computes no number: all that it shows was written by the report. The document listens for all
// events, so that the live view may put new sections into the page ("placed" tells of them).
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const html = document.documentElement;
  html.classList.add("scripts");
  // Calls `react` for an event on an element that fits the selector, or on what it contains.
  const on = (type, selector, react) =>
    document.addEventListener(type, (event) => {
      const found = event.target instanceof Element && event.target.closest(selector);
      if (found) react(found, event);
    });

  // --- rows that are hidden, by a button of the legend or by the filter

  const hidden = new WeakMap(); // section -> {off: Set of rows, filtered: Set of rows}
  const stateOf = (section) => {
    if (!hidden.has(section)) hidden.set(section, { off: new Set(), filtered: new Set() });
    return hidden.get(section);
  };
  const show = (section) => {
    const { off, filtered } = stateOf(section);
    const gone = (row) => off.has(row) || filtered.has(row);
    for (const part of all("[data-rows]", section))
      part.classList.toggle("off", part.dataset.rows.split(" ").every(gone));
    for (const row of all("tbody tr[data-row]", section)) {
      row.hidden = filtered.has(row.dataset.row);
      row.classList.toggle("faded", off.has(row.dataset.row));
    }
    for (const button of all(".toggle", section)) {
      button.setAttribute("aria-pressed", String(!off.has(button.dataset.row)));
      button.parentElement.hidden = filtered.has(button.dataset.row);
    }
  };
  on("click", ".toggle", (button) => {
    const section = button.closest("section");
    const { off } = stateOf(section);
    if (!off.delete(button.dataset.row)) off.add(button.dataset.row);
    show(section);
  });

  // --- the table

  const textOf = (cell) => {
    const copy = cell.cloneNode(true);
    for (const aside of all("small, .away, sup", copy)) aside.remove();
    return copy.textContent.trim();
  };
  const numberIn = (text) => {
    const found = text.match(/-?\d+(\.\d+)?(e[-+]?\d+)?/i);
    return found ? Number(found[0]) : text === "baseline" ? 1 : NaN;
  };
  const headsOf = (table) => all("thead th", table).map((th) => textOf(th).toLowerCase());

  on("click", "button.sort", (button) => {
    const th = button.closest("th");
    const table = th.closest("table");
    const down = th.getAttribute("aria-sort") === "ascending";
    for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    const column = th.cellIndex;
    const numeric = th.classList.contains("num");
    const keyed = all("tbody tr", table).map((row) => {
      const text = textOf(row.cells[column]);
      return { row, text, number: numberIn(text) };
    });
    keyed.sort((a, b) => {
      if (!numeric) return a.text.localeCompare(b.text, "en", { numeric: true }) * (down ? -1 : 1);
      // A row without a number comes last in either order.
      if (isNaN(a.number) || isNaN(b.number)) return isNaN(a.number) - isNaN(b.number);
      return (a.number - b.number) * (down ? -1 : 1);
    });
    table.tBodies[0].append(...keyed.map(({ row }) => row));
  });

  // "vae total<20": each word is somewhere in the row, or compares a column with a number.
  const fits = (row, heads, words) =>
    words.every((word) => {
      const asked = word.match(/^(.+?)(<=|>=|<|>|=)(-?[\d.]+(?:e[-+]?\d+)?)$/);
      const column = asked ? heads.findIndex((head) => head.startsWith(asked[1])) : -1;
      if (column < 0) return row.textContent.toLowerCase().includes(word);
      const [value, bound] = [numberIn(textOf(row.cells[column])), Number(asked[3])];
      return { "<": value < bound, ">": value > bound, "<=": value <= bound, ">=": value >= bound,
        "=": value === bound }[asked[2]];
    });
  on("input", ".filter input", (input) => {
    const section = input.closest("section");
    const table = section.querySelector(".scroll table");
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = all("tbody tr", table);
    const { filtered } = stateOf(section);
    filtered.clear();
    for (const row of rows)
      if (!fits(row, headsOf(table), words)) filtered.add(row.dataset.row);
    const count = rows.length - filtered.size;
    input.nextElementSibling.textContent = words.length ? `${count} of ${rows.length} rows` : "";
    show(section);
  });

  // --- the axis of curves and samples

  const axis = () => html.dataset.axis;
  const press = (root) => {
    for (const button of all("button[data-axis]", root))
      button.setAttribute("aria-pressed", String(button.dataset.axis === axis()));
  };
  on("click", "button[data-axis]", (button) => {
    html.dataset.axis = button.dataset.axis;
    press(document);
    for (const input of all(".slider input")) setSteps(input, input.value / (input.max || 1));
  });

  // --- samples

  const setSteps = (input, share) => {
    const steps = JSON.parse(input.dataset[axis()]);
    input.max = steps.length - 1;
    input.value = Math.round(share * input.max);
    step(input);
  };
  const step = (input) => {
    const steps = JSON.parse(input.dataset[axis()]);
    const now = steps[input.value];
    const text = axis() === "epochs" ? `epoch ${now}` : `${Number(now.toPrecision(3))} s`;
    input.nextElementSibling.textContent = text;
    input.setAttribute("aria-valuetext", text);
    for (const figure of all("figure", input.closest(".grids"))) {
      const shots = all("img", figure);
      const there = shots.filter((shot) => Number(shot.dataset[axis()]) <= now);
      const shot = there[there.length - 1] || shots[0];
      for (const other of shots) other.hidden = other !== shot;
      figure.classList.toggle("blank", there.length === 0);
      figure.querySelector("small").textContent = there.length ? shot.dataset.when : "no picture yet";
    }
  };
  on("input", ".slider input", step);

  // --- what is new in the page

  const prepare = (root) => {
    press(root);
    for (const input of all(".slider input", root)) setSteps(input, 1);
  };
  prepare(document);
  document.addEventListener("placed", ({ target }) => prepare(target));

  // --- charts, read out

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("class", "cursor");

  const place = ([low, high], [start, end], log, value) => {
    if (log) [low, high, value] = [low, high, Math.max(value, low)].map(Math.log10);
    return start + ((value - low) / (high - low)) * (end - start);
  };
  const curvesOf = (svg) =>
    all("g.curve:not(.off)", svg).map((group) => ({
      name: group.dataset.name,
      colour: group.style.getPropertyValue("--c"),
      seeds: group.dataset.n,
      points: group.dataset.p.split(";").map((point) => point.split(",").map((v) => (v === "" ? NaN : Number(v)))),
    }));
  const shown = (value) => Number(value.toPrecision(4)).toString();
  const spread = (value, sd) => shown(value) + (sd ? ` ± ${Number(sd.toPrecision(2))}` : "");
  const read = (svg, x, y) => {
    const scale = JSON.parse(svg.dataset.scale);
    const atX = (value) => place(scale.x, scale.px, scale.logx, value);
    const atY = (value) => place(scale.y, scale.py, scale.logy, value);
    const dots = svg.classList.contains("dots");
    const found = curvesOf(svg).map((curve) => {
      const far = (p) => Math.hypot(atX(p[0]) - x, dots ? atY(p[1]) - y : 0);
      const point = curve.points.reduce((a, b) => (far(b) < far(a) ? b : a));
      return { ...curve, point, far: far(point) };
    });
    if (!found.length) return null;
    const nearest = found.reduce((a, b) => (b.far < a.far ? b : a));
    const at = nearest.point[0];
    // Curves that are read at about the same place, the topmost first.
    const near = dots ? [nearest] : found.filter(({ far }) => far <= nearest.far + 12);
    near.sort((a, b) => atY(a.point[1]) - atY(b.point[1]));
    const head = `${spread(at, dots ? nearest.point[3] : 0)} ${scale.unit}`;
    return { near, head, left: atX(at), scale };
  };
  const write = (svg, { near, head, left, scale }) => {
    tip.replaceChildren();
    const first = document.createElement("b");
    first.textContent = head;
    tip.append(first);
    for (const { name, colour, seeds, point } of near) {
      const row = document.createElement("div");
      const dot = document.createElement("i");
      dot.style.background = colour;
      const text = document.createElement("span");
      text.textContent = name;
      const value = document.createElement("em");
      value.textContent = spread(point[1], point[2]) + (seeds ? ` (n ${seeds})` : "");
      row.append(dot, text, value);
      tip.append(row);
    }
    line.setAttribute("d", `M${left} ${scale.py[1]}V${scale.py[0]}`);
    svg.append(line);
    tip.hidden = false;
  };
  const put = (x, y) => {
    const box = tip.getBoundingClientRect();
    const room = document.documentElement.clientWidth - box.width - 12;
    tip.style.left = `${Math.max(8, Math.min(x + 16, room)) + scrollX}px`;
    tip.style.top = `${(y - box.height - 14 > 0 ? y - box.height - 14 : y + 18) + scrollY}px`;
  };
  const leave = () => {
    tip.hidden = true;
    line.remove();
  };
  const chartAt = (event) => event.target instanceof Element && event.target.closest("svg.chart");
  document.addEventListener("pointermove", (event) => {
    const svg = chartAt(event);
    if (!svg) return leave();
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const found = read(svg, at.x, at.y);
    if (!found) return leave();
    write(svg, found);
    put(event.clientX, event.clientY);
  });
  document.addEventListener("pointerleave", leave);
  document.addEventListener("focusout", leave);
  // Left and right read the chart out without a pointer.
  const shares = new WeakMap();
  document.addEventListener("keydown", (event) => {
    const svg = chartAt(event);
    if (!svg || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
    event.preventDefault();
    const step = event.key === "ArrowRight" ? 0.04 : -0.04;
    const share = Math.min(1, Math.max(0, (shares.get(svg) ?? 1) + step));
    shares.set(svg, share);
    const { px, py } = JSON.parse(svg.dataset.scale);
    const found = read(svg, px[0] + share * (px[1] - px[0]), (py[0] + py[1]) / 2);
    if (!found) return;
    write(svg, found);
    const box = svg.getBoundingClientRect();
    put(box.left + (found.left / svg.viewBox.baseVal.width) * box.width, box.top + 20);
  });

  // --- what is folded opens for a link to it, and for print

  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    for (let part = target; part; part = part.parentElement)
      if (part.tagName === "DETAILS") part.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open]):not(.aside)");
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of opened) part.open = false;
  });
})();

// Follows the store: replaces the parts of the page that have changed, as the server sends them.
(() => {
  const all = (selector, root) => [...root.querySelectorAll(selector)];
  const made = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  };
  // What a reader has opened, scrolled to, typed in, sorted or hidden is so again in what comes.
  // The data set and the card in which an element stands: they may come in another order.
  const place = (part) => {
    const of = (outer, name) => part.closest(outer)?.querySelector(name)?.textContent || "";
    return `${of("section.data", "h2")}/${of(".card", ".name")}`;
  };
  const named = (root, selector) =>
    all(selector, root).map((part) => {
      const name = part.querySelector(".name") || part;
      return [`${place(part)}/${name.textContent}`, part];
    });
  const states = (root) => ({
    open: named(root, "details[open] > summary").map(([name]) => name),
    left: all(".scroll", root).map((scroll) => scroll.scrollLeft),
    typed: all(".filter input", root).map((input) => [place(input), input.value]),
    slid: all(".slider input", root).map((input) => [place(input), input.value / (input.max || 1)]),
    off: named(root, '.toggle[aria-pressed="false"]').map(([name]) => name),
    sorted: named(root, "th[aria-sort] button").map(([name, button]) => [
      name, button.closest("th").getAttribute("aria-sort") === "descending" ? 2 : 1,
    ]),
    focus: root.contains(document.activeElement) ? document.activeElement.id : "",
  });
  const put = (root, selector, values, change) => {
    for (const input of all(selector, root)) {
      const kept = values.find(([name]) => name === place(input));
      if (!kept || !change(input, kept[1])) continue;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }
  };
  const restore = (root, { open, left, typed, slid, off, sorted, focus }) => {
    root.dispatchEvent(new Event("placed", { bubbles: true }));
    for (const [name, summary] of named(root, "details > summary"))
      if (open.includes(name)) summary.parentElement.open = true;
    for (const [name, button] of named(root, "button.sort")) {
      const clicks = sorted.find(([other]) => other === name)?.[1] || 0;
      for (let i = 0; i < clicks; i++) button.click();
    }
    for (const [name, button] of named(root, ".toggle")) if (off.includes(name)) button.click();
    put(root, ".filter input", typed, (input, text) => (input.value = text));
    put(root, ".slider input", slid, (input, share) => {
      input.value = Math.round(share * input.max);
      return true;
    });
    all(".scroll", root).forEach((scroll, i) => (scroll.scrollLeft = left[i] || 0));
    const field = focus && document.getElementById(focus);
    if (field && field !== document.activeElement) {
      field.focus({ preventScroll: true });
      if (field.setSelectionRange) field.setSelectionRange(field.value.length, field.value.length);
    }
  };
  const replace = (old, html) => {
    const kept = states(old);
    const [now] = made(html).children;
    if (!now) return;
    old.replaceWith(now);
    restore(now, kept);
  };
  const show = ({ main, parts }) => {
    if (main !== undefined) {
      const root = document.getElementById("main");
      const kept = states(root);
      root.replaceChildren(made(main));
      restore(root, kept);
    }
    for (const [id, html] of Object.entries(parts || {})) {
      const old = document.getElementById(id);
      if (old) replace(old, html);
    }
  };

  const link = document.getElementById("link");
  const say = (state, text) => {
    link.className = state;
    link.title = text;
    link.textContent = state === "lost" ? text : "";
  };
  const address = document.documentElement.dataset.events;
  if (address) {
    const events = new EventSource(address);
    events.onopen = () => say("there", "this page follows the store");
    events.onmessage = (event) => show(JSON.parse(event.data));
    events.onerror = () => say("lost", "the connection is lost; trying again");
    addEventListener("pagehide", () => events.close());
  }
})();

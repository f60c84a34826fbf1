// Follows the store: replaces the parts of the page that have changed, as the server sends them.
(() => {
  const made = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  };
  // What a reader has opened or scrolled to stays as it is.
  const states = (root) => ({
    open: [...root.querySelectorAll("details[open][id]")].map(({ id }) => id),
    left: [...root.querySelectorAll(".scroll")].map((scroll) => scroll.scrollLeft),
  });
  const restore = (root, { open, left }) => {
    for (const id of open) {
      const details = root.querySelector(`#${CSS.escape(id)}`);
      if (details) details.open = true;
    }
    [...root.querySelectorAll(".scroll")].forEach((scroll, i) => (scroll.scrollLeft = left[i] || 0));
  };
  const replace = (old, html) => {
    const kept = states(old);
    const [now] = made(html).children;
    if (!now) return;
    old.replaceWith(now);
    restore(now, kept);
  };
  const show = ({ main, parts }) => {
    const root = document.getElementById("main");
    if (main !== undefined && root.innerHTML !== main) {
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

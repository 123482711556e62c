// Shortcuts: / searches, g then a letter goes to a page, p pauses live updates.
export function startKeys(live) {
  const help = document.querySelector(".keys");
  if (help) help.hidden = false;
  const base = document.body.dataset.base;
  const pages = { d: "", w: "workers", t: "tasks", b: "broker", f: "workflows" };
  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") document.activeElement.blur();
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    if (Date.now() - going < 1200 && event.key in pages) {
      location.href = base + pages[event.key];
      return;
    }
    going = event.key === "g" ? Date.now() : 0;
    if (event.key === "p") live.toggle();
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("search").select();
    }
  });
}

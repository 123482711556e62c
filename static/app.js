import { showTimes } from "./time.js";
import { startLive } from "./live.js";
import { startKeys } from "./keys.js";

const store = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, value); } catch { /* storage is off */ } },
};

function startTheme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  button.hidden = false;
  button.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    store.set("umbel-theme", root.dataset.theme);
  });
}

function showCopyButtons(root) {
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.classList.add("done");
  button.title = button.dataset.done;
  setTimeout(() => button.classList.remove("done"), 1500);
});

function refresh(root) {
  showTimes(root);
  showCopyButtons(root);
}

startTheme();
refresh(document);
const live = startLive(store, refresh);
startKeys(live);

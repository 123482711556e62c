// Keeps the page current. The server tells over one event stream which topics
// changed; the page is then asked for again and its [data-live] parts are
// patched. The server thus draws everything, with the reader's filters.
import { morph } from "./morph.js";

const pause = 1000; // ms between two looks

export function startLive(store, refresh) {
  const base = document.body.dataset.stream;
  const parts = [...document.querySelectorAll("[data-live][id]")];
  const topics = [...new Set(parts.flatMap((part) => part.dataset.live.split(/\s+/)))].filter(Boolean);
  const button = document.getElementById("live");
  if (!base || !topics.length || !button) return { toggle() {} };

  let source = null;
  let timer = 0;
  let last = 0;
  let paused = store.get("umbel-paused") === "1";

  function tell(state) {
    button.dataset.state = state;
    button.querySelector("span").textContent = button.dataset[`${state}Text`] ?? button.dataset.liveText;
  }

  async function look() {
    timer = 0;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (paused) return;
      for (const part of document.querySelectorAll("[data-live][id]")) {
        const fresh = page.getElementById(part.id);
        if (!fresh) continue;
        morph(part, fresh);
        refresh(part);
      }
    } catch { /* the stream tells when the server is back */ }
  }

  // Rows must not move under a reader who has scrolled or is selecting text.
  function reading() {
    return scrollY > 240 || !getSelection().isCollapsed;
  }

  function changed() {
    if (timer || paused) return;
    timer = setTimeout(() => {
      if (reading() && document.querySelector("[data-hold]")) {
        timer = 0;
        offer();
      } else look();
    }, Math.max(150, pause - (Date.now() - last)));
  }

  function offer() {
    const hold = document.querySelector("[data-hold]");
    if (document.querySelector(".pill")) return;
    const pill = document.createElement("button");
    pill.className = "button main pill";
    pill.type = "button";
    pill.textContent = hold.dataset.hold;
    pill.addEventListener("click", () => { pill.remove(); scrollTo({ top: 0 }); getSelection().removeAllRanges(); look(); });
    document.body.append(pill);
  }

  function connect() {
    if (source || paused || document.hidden) return;
    source = new EventSource(`${base}?topics=${encodeURIComponent(topics.join(","))}`);
    let opened = false;
    source.onopen = () => {
      tell("live");
      if (opened) changed();
      opened = true;
    };
    source.onerror = () => {
      tell("lost");
      if (source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(connect, 5000);
      }
    };
    for (const topic of topics) source.addEventListener(topic, changed);
  }

  function disconnect() {
    if (source) source.close();
    source = null;
    clearTimeout(timer);
    timer = 0;
  }

  function toggle() {
    paused = !paused;
    store.set("umbel-paused", paused ? "1" : "");
    if (paused) { disconnect(); tell("paused"); } else { tell("idle"); connect(); look(); }
  }

  // A hidden tab gives its connection back: browsers allow six for one host.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) disconnect();
    else if (!paused) { connect(); look(); }
  });
  button.hidden = false;
  button.addEventListener("click", toggle);
  tell(paused ? "paused" : "idle");
  connect();
  return { toggle };
}

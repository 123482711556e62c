// Makes one element look like another while touching as little as possible, so
// that focus, selection and scrolling survive.
const key = (node) => node.nodeType === 1 ? node.dataset.key || node.id || "" : "";
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);

function attributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open" && name !== "hidden" && name !== "title") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== "hidden" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

export function morph(old, fresh) {
  if (old.nodeType !== 1) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old === document.activeElement && /^(INPUT|SELECT|TEXTAREA)$/.test(old.nodeName)) return;
  if (old.nodeName === "TIME" && old.dateTime === fresh.dateTime) return;
  if (old.nodeName === "TIME") old.removeAttribute("title");
  attributes(old, fresh);
  children(old, fresh);
}

function children(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) if (key(child)) keyed.set(key(child), child);
  let at = old.firstChild;
  for (const want of [...fresh.childNodes]) {
    let have = keyed.get(key(want));
    if (have) keyed.delete(key(want));
    else if (at && alike(at, want)) have = at;
    if (have && alike(have, want)) {
      if (have === at) at = at.nextSibling;
      else old.insertBefore(have, at);
      morph(have, want);
    } else {
      if (key(want) && want.nodeName === "TR") want.classList.add("fresh");
      old.insertBefore(want, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

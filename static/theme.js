// Runs before the first paint, so that a chosen theme never flashes.
try {
  const chosen = localStorage.getItem("umbel-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* storage is off: the system's theme holds */ }

// Whether a key belongs to a field, a dialog or a terminal, and not to the page.
export function typing(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return true;
  if (document.querySelector("dialog[open]")) return true;
  const target = event.target;
  return target instanceof Element && target.closest("input:not([type=checkbox]), select, textarea, [contenteditable], .xterm") !== null;
}

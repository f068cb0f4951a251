/** A new element with *words* in it, as text and never as HTML. */
export function element(name, words, classes = "") {
  const made = document.createElement(name);
  made.textContent = words;
  if (classes) made.className = classes;
  return made;
}

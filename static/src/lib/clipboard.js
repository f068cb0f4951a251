/**
 * Put *text* on the clipboard. *beside* is an element that has the focus back afterwards.
 *
 * Browsers give pages that came by plain HTTP from another host no clipboard: only the old way is left there.
 */
export async function copy(text, beside) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const holder = document.createElement("textarea");
  holder.value = text;
  holder.className = "visually-hidden";
  beside.after(holder); // beside it, so that it can have the focus inside of a dialog as well
  holder.select();
  document.execCommand("copy");
  holder.remove();
  beside.focus();
}

// The API key: asked for when the service wants one, kept in this tab's session and nowhere else.

import { find } from "./dom.js";

const NAME = "drybeans.key";
const button = find("key-button");
const dialog = find("key-dialog");
const text = find("key-text");
let asking = null;

export const key = () => sessionStorage.getItem(NAME);

export const authorization = () => (key() ? { Authorization: `Bearer ${key()}` } : {});

/** Asks for a key, once however many ask, and tells whether there is one now. */
export function askForKey(why) {
  asking ??= new Promise((resolve) => {
    button.hidden = false;
    find("key-error").textContent = why;
    find("key-forget").hidden = !key();
    text.value = "";
    dialog.returnValue = "cancel";
    dialog.showModal();
    dialog.addEventListener("close", () => resolve(take(dialog.returnValue)), { once: true });
  }).finally(() => { asking = null; });
  return asking;
}

function take(answer) {
  const given = text.value.trim();
  if (answer === "forget") sessionStorage.removeItem(NAME);
  if (answer !== "use" || !given) return false;
  sessionStorage.setItem(NAME, given);
  return true;
}

button.hidden = !key();
button.addEventListener("click", async () => {
  const before = key();
  await askForKey("");
  // What is shown belongs to the key that was.
  if (key() !== before) location.reload();
});

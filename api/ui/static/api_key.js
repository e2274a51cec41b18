// The API key: requested when the service requires one, kept in this tab's session storage only.

import { find } from "./dom.js";

const NAME = "drybeans.key";
const button = find("key-button", HTMLButtonElement);
const dialog = find("key-dialog", HTMLDialogElement);
const input = find("key-text", HTMLInputElement);
/** @type {Promise<boolean> | null} */
let asking = null;

export const key = () => sessionStorage.getItem(NAME);

/** @returns {Record<string, string>} */
export const authorization = () => (key() ? { Authorization: `Bearer ${key()}` } : {});

/**
 * Open the dialog and return whether a key was entered. Concurrent callers share one dialog.
 *
 * @param {string} reason an error to show, or an empty text
 */
export function askForKey(reason) {
  asking ??= new Promise((/** @type {(entered: boolean) => void} */ resolve) => {
    button.hidden = false;
    find("key-error").textContent = reason;
    find("key-forget").hidden = !key();
    input.value = "";
    dialog.returnValue = "cancel";
    dialog.showModal();
    dialog.addEventListener("close", () => resolve(store(dialog.returnValue)), { once: true });
  }).finally(() => { asking = null; });
  return asking;
}

/** @param {string} choice the value of the button that closed the dialog */
function store(choice) {
  const entered = input.value.trim();
  if (choice === "forget") sessionStorage.removeItem(NAME);
  if (choice !== "use" || !entered) return false;
  sessionStorage.setItem(NAME, entered);
  return true;
}

button.hidden = !key();
button.addEventListener("click", async () => {
  const before = key();
  await askForKey("");
  // The page shows what the previous key had access to.
  if (key() !== before) location.reload();
});

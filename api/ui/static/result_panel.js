// A panel that shows a result only as long as it belongs to the current input.

/**
 * Return `discard()`, which restores the panel's initial content, and `begin()`, which does the
 * same and returns a function that shows nodes unless the request has been discarded since.
 * That function returns whether the request is still current.
 *
 * @param {HTMLElement} panel
 */
export function resultPanel(panel) {
  const initial = [...panel.childNodes];
  let version = 0;
  const discard = () => {
    version += 1;
    panel.replaceChildren(...initial);
  };
  const begin = () => {
    discard();
    const requested = version;
    /** @param {...Node} nodes */
    const show = (...nodes) => {
      if (requested === version) panel.replaceChildren(...nodes);
      return requested === version;
    };
    return show;
  };
  return { discard, begin };
}

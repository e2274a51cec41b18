// The place of an answer: empty again as soon as the answer no longer belongs to what is entered.

/** Returns `discard()`, and `begin()`, whose `show(...nodes)` does nothing once discarded. */
export function answerPlace(place) {
  const empty = [...place.childNodes];
  let version = 0;
  const discard = () => {
    version += 1;
    place.replaceChildren(...empty);
  };
  const begin = () => {
    discard();
    const asked = version;
    return (...nodes) => {
      if (asked === version) place.replaceChildren(...nodes);
      return asked === version;
    };
  };
  return { discard, begin };
}

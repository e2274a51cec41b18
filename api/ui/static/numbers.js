// Parse numbers as the service does: the same definition as shared/domain/numerals.py.

const SPACE = "[\\t-\\r \\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000]*";
const BLANK = new RegExp(`^${SPACE}$`);
const NUMBER = new RegExp(`^${SPACE}([+-]?(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)${SPACE}$`);

/**
 * Return whether `text` is empty or white space.
 *
 * @param {string} text
 */
export const isBlank = (text) => BLANK.test(text);

/**
 * Return the value of `text`, NaN when it is not a finite number.
 *
 * @param {string} text
 */
export function parseNumber(text) {
  const value = Number(NUMBER.exec(text)?.[1] ?? NaN);
  return Number.isFinite(value) ? value : NaN;
}

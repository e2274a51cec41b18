// Tags of jobs: the text `name=value` as query parameters of the API.

/**
 * Return the query parameter that sets or filters by the tag in `text`, null without a name.
 *
 * @param {string} text
 * @returns {[string, string] | null}
 */
export function tagParameter(text) {
  const [name, ...value] = text.split("=");
  return name.trim() ? [`label.${name.trim()}`, value.join("=").trim()] : null;
}

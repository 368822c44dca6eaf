import { hrefOf } from "./address.js";
import { field, h } from "./dom.js";

/**
 * A form whose fields become the address of a search.
 *
 * @param {string} page
 * @param {string} label
 * @param {...import("./dom.js").Child} fields
 */
export function searchForm(page, label, ...fields) {
  return h(
    "form",
    {
      class: "card filters",
      "aria-label": label,
      autocomplete: "off",
      onsubmit(event) {
        event.preventDefault();
        const data = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
        const wanted = hrefOf(page, Object.fromEntries([...data].map(([name, value]) => [name, String(value).trim()])));
        if (wanted === location.hash) {
          dispatchEvent(new HashChangeEvent("hashchange"));
        } else {
          location.hash = wanted;
        }
      },
    },
    ...fields,
    h(
      "div",
      { class: "actions" },
      h("button", { type: "submit", class: "primary" }, "Filter"),
      h("a", { class: "button", href: `#/${page}` }, "Clear"),
    ),
  );
}

/**
 * @param {Readonly<Record<string, string>>} query
 * @param {string} name
 * @param {string} label
 * @param {import("./dom.js").Props} [props]
 */
export function textFilter(query, name, label, props = {}) {
  return field(
    `filter-${name}`,
    label,
    h("input", {
      id: `filter-${name}`,
      name,
      value: query[name] ?? "",
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      "aria-describedby": `filter-${name}-error`,
      ...props,
    }),
  );
}

/**
 * @param {Readonly<Record<string, string>>} query
 * @param {string} name
 * @param {string} label
 * @param {readonly string[]} values
 */
export function choiceFilter(query, name, label, values) {
  return field(
    `filter-${name}`,
    label,
    h(
      "select",
      { id: `filter-${name}`, name },
      h("option", { value: "" }, "any"),
      values.map((value) => h("option", { value, selected: query[name] === value }, value)),
    ),
  );
}

// A page looks at 10,000 rows at the most, and may be empty with more behind it.
const maxEmptyPages = 10;
export const noneSoFar = "None so far, and there are more to look through: go on to older ones.";

/**
 * The first page from here on that has something on it, or the last that was looked at.
 *
 * @template {{ readonly items: readonly unknown[], readonly nextPageToken: string }} Page
 * @param {string} pageToken
 * @param {(pageToken: string) => Promise<Page>} ask
 */
export async function firstFilledPage(pageToken, ask) {
  let page = await ask(pageToken);
  for (let pages = 1; page.items.length === 0 && page.nextPageToken !== "" && pages < maxEmptyPages; pages += 1) {
    page = await ask(page.nextPageToken);
  }
  return page;
}

/**
 * @param {number} count
 * @param {string} noun
 * @param {boolean} hasMore
 */
export function countText(count, noun, hasMore) {
  const text = count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
  return hasMore ? `${text} on this page, and there are more.` : `${text}.`;
}

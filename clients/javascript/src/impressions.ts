import type { EventData, Item, Tracker } from "./types";

type List = HTMLElement | Document;

/** What this page view has shown. */
const seen = new Set<string>();
let page: string | undefined;

const find = (list: ParentNode = document): HTMLElement[] => [
  ...list.querySelectorAll<HTMLElement>("[data-product-id]"),
];

/** Call a function when products may have come, gone or changed; at most once a frame. */
const watchPage = (look: () => void): MutationObserver => {
  let isPlanned = false;
  const observer = new MutationObserver(() => {
    if (isPlanned) return;
    isPlanned = true;
    requestAnimationFrame(() => {
      isPlanned = false;
      look();
    });
  });
  const attributeFilter = ["data-product-id"];
  observer.observe(document, { childList: true, subtree: true, attributeFilter });
  return observer;
};

/**
 * Track the products of lists as they come into sight: each that is half in sight, once a page
 * view, and those of a list that come together in one event. Elements name their product in
 * data-product-id; an element around them names the list in data-list, and positions are those in
 * it. Without elements given, it is all of the page, those that come later too. Gives a function
 * that ends it.
 */
export const watchImpressions = (
  tracker: Pick<Tracker, "track">,
  elements?: Iterable<Element>,
  data?: EventData,
): (() => void) => {
  const given = elements && ([...elements] as HTMLElement[]);
  const watched = new WeakMap<Element, string>();

  const tell = (list: List, shown: HTMLElement[]): void => {
    const all = given || find(list);
    const items: Item[] = [];
    for (const element of shown) {
      const product_id = element.dataset.productId;
      if (!product_id || seen.has(product_id)) continue;
      seen.add(product_id);
      items.push({ product_id, position: all.indexOf(element) + 1 });
    }
    const list_id = (list as HTMLElement).dataset?.list;
    if (items[0]) tracker.track("product_list_view", { list_id, ...data, items });
  };

  const observer = new IntersectionObserver(
    (entries) => {
      if (page != (page = location.pathname + location.search)) seen.clear();
      const lists = new Map<List, HTMLElement[]>();
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        const list = target.closest<HTMLElement>("[data-list]") || document;
        lists.set(list, [...(lists.get(list) || []), target as HTMLElement]);
      }
      lists.forEach((shown, list) => tell(list, shown));
    },
    { threshold: 0.5 },
  );

  const look = (): void => {
    for (const element of given || find()) {
      const product = element.dataset.productId!;
      if (watched.get(element) == product) continue;
      watched.set(element, product);
      // An element that has become another product's is looked at as if it were new.
      observer.unobserve(element);
      observer.observe(element);
    }
  };
  look();
  const following = given ? undefined : watchPage(look);
  return () => {
    observer.disconnect();
    following?.disconnect();
  };
};

// The script of a tag with data-impressions loads this module so.
if (import.meta.url.endsWith("?on")) watchImpressions((window as any).millrace);

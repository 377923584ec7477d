import { snakeCase } from "./names";
import { parse } from "./store";
import type { EventData, Tracker } from "./types";

/** Read an attribute. Ids and keys are text: a number may not hold all their digits. */
export const readData = (dataset: DOMStringMap, name: string): any =>
  /(Id|key)$/.test(name) ? dataset[name] : parse(dataset[name]!);

/** Track clicks on elements that name an event: data-event, data-event-product-id, … */
export const watchClicks = (track: Tracker["track"]): void =>
  addEventListener(
    "click",
    ({ target }) => {
      const element = (target as Element).closest?.<HTMLElement>("[data-event]");
      if (!element) return;
      const data: EventData = {};
      for (const name in element.dataset)
        if (/^event[A-Z]/.test(name)) {
          data[snakeCase(name).slice(6)] = readData(element.dataset, name);
        }
      track(element.dataset.event!, data);
    },
    true,
  );

/** Call `page` for the first page and whenever the address has become another page's. */
export const watchPages = (page: () => void): void => {
  let shown: string | undefined;
  const look = (): void => {
    if (shown != (shown = location.pathname + location.search)) page();
  };
  for (const name of ["pushState", "replaceState"] as const) {
    const original = history[name];
    history[name] = (...values) => {
      original.apply(history, values);
      look();
    };
  }
  addEventListener("popstate", look);
  addEventListener("pageshow", ({ persisted }) => persisted && page());
  // A page that is only made ready is seen once it is shown.
  if ((document as { prerendering?: boolean }).prerendering)
    document.addEventListener("prerenderingchange", look);
  else look();
};

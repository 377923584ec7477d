import { config, configure } from "./config";
import { flush, leave, notice, resume } from "./delivery";
import { watchClicks, watchPages } from "./dom";
import { now, uuid7 } from "./ids";
import { snakeCase } from "./names";
import { comeFrom, describePage } from "./page";
import { describePerson, forgetPerson, rememberUser } from "./person";
import { entries, lose, put } from "./queue";
import { attempt, choose, consent, follow, removeAll } from "./store";
import { measure } from "./timing";
import type { Config, EventData, TrackedEvent, Tracker } from "./types";

const track = (type: string, data?: EventData): void => {
  if (consent() == "denied") return;
  const time = now();
  const own = { event_type: type, event_id: uuid7(time), occurred_at: time };
  try {
    const event: TrackedEvent = {
      ...describePage(),
      ...describePerson(),
      excluded: (config.excluded ?? (navigator.webdriver && "headless")) || undefined,
      ...data,
      ...own,
    };
    const hook = (window as any)[config.beforeSend as string] || config.beforeSend;
    const changed = hook ? hook(event) : event;
    if (changed) put({ ...changed, event_id: own.event_id });
  } catch {
    lose(own, "before_send");
  }
  notice();
};

const page = (data?: EventData): void => {
  track("page_view", { path: location.pathname, ...data });
  comeFrom(location.href);
};

const tracker: Record<string, (...values: any[]) => unknown> = {
  track,
  page,
  identify(userId, traits) {
    rememberUser(userId);
    track("identify", { properties: traits });
  },
  reset: forgetPerson,
  optIn() {
    choose("granted");
    void flush();
  },
  optOut() {
    removeAll();
    choose("denied");
  },
  flush: () => flush().catch(() => {}),
  timed: (type, data) => measure(track, type, data),
  purchase: (items, data) => track("purchase", { ...data, items }),
};

// Methods that track an event of a product: their name says which, and the server knows them all.
const ofProduct =
  "view click favorite favourite unfavorite addToCart removeFromCart";
for (const name of ofProduct.split(" "))
  tracker[name] = (productId, data) => track(snakeCase(name), { product_id: productId, ...data });

// Whatever goes wrong here is no reason to stop the page.
for (const name in tracker) {
  const method = tracker[name]!;
  tracker[name] = (...values) => attempt(() => method(...values));
}

/** Start the page's tracker, once; on a server, where there is no page, it does nothing. */
export const init = (given: Config = {}): Tracker => {
  attempt(() => {
    if (config) return;
    comeFrom(document.referrer);
    configure(given);
    follow();
    // Someone who declines now may have been tracked before.
    if (consent() == "denied") removeAll();
    document.addEventListener("visibilitychange", () => (document.hidden ? leave() : flush()));
    addEventListener("pagehide", leave);
    addEventListener("online", resume);
    watchClicks(track);
    // What earlier pages left is sent now.
    if (entries()[0]) void flush();
    if (given.auto !== false) watchPages(page);
  });
  return tracker as unknown as Tracker;
};

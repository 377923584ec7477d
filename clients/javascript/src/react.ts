import { useEffect, useState } from "react";
import { init, type Config, type Timing, type Tracker } from "./index";
import { measure } from "./timing";

const METHODS: Record<keyof Tracker, true> = {
  track: true,
  page: true,
  identify: true,
  reset: true,
  optIn: true,
  optOut: true,
  flush: true,
  timed: true,
  view: true,
  click: true,
  favorite: true,
  favourite: true,
  unfavorite: true,
  addToCart: true,
  removeFromCart: true,
  purchase: true,
};

/** Call the page's tracker by name: its script may still be on its way, and the stub remembers. */
const findLater = (): Tracker =>
  Object.fromEntries(
    Object.keys(METHODS).map((name) => [
      name,
      async (...values: unknown[]) => (window as any).millrace(name, ...values),
    ]),
  ) as unknown as Tracker;

const findTracker = (config?: Config): Tracker => {
  const page = typeof window == "undefined" ? undefined : (window as any).millrace;
  if (!page) return init(config);
  return page.track ? page : findLater();
};

/**
 * Give the page's tracker to a component: always the same object. The first component that gives
 * a config starts it, unless a script tag has. Timings that the component began and did not
 * complete are cancelled when it goes away.
 */
export const useActivityTracker = (config?: Config): Tracker => {
  const [[tracker, cancelAll]] = useState(() => {
    const whole = findTracker(config);
    const open = new Set<Timing>();
    const timed: Tracker["timed"] = (type, data) => {
      const timing = measure(whole.track, type, data);
      open.add(timing);
      return timing;
    };
    const cancelAll = (): void => {
      open.forEach((timing) => timing.cancel());
      open.clear();
    };
    return [{ ...whole, timed }, cancelAll] as const;
  });
  useEffect(() => cancelAll, [cancelAll]);
  return tracker;
};

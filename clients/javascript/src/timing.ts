import { attempt } from "./store";
import type { EventData, Timing, Tracker } from "./types";

/** Measure from now on; what is measured is tracked once, or cancelled. */
export const measure = (track: Tracker["track"], type: string, data?: EventData): Timing => {
  let start = performance.now();
  const cancel = () => (start = 0);
  return {
    complete(more) {
      attempt(() => {
        if (start) track(type, { ...data, ...more, duration_ms: (performance.now() - start) | 0 });
      });
      cancel();
    },
    cancel,
  };
};

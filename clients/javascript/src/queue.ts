import { config } from "./config";
import { uuid7 } from "./ids";
import { OURS, attempt, parse, readAll, write } from "./store";
import type { TrackedEvent } from "./types";

/** Each event has an entry of its own, so that tabs never overwrite one another. */
const ENTRY = "mr_q";
const LOST = "tracker_dropped";
const MAX_BYTES = 2048;
const DAY_MS = 864e5;

/** An event and its key. */
export type Entry = [key: string, event: Partial<TrackedEvent>];

/** How many events wait, as far as this page knows. */
export let waiting = 0;
let overflow = 0;

/**
 * Write the small event that stands in for one that is given up. It has the id of the lost one,
 * and the server stores an id once: each event counts as itself or as lost, never as both.
 */
const standInFor = (id: string, reason: string, count: number, type?: string): string =>
  JSON.stringify({
    event_type: LOST,
    event_id: id,
    excluded: "dropped",
    properties: { reason, count, dropped_type: type },
  });

const most = (): number => config.maxEvents || 1e3;

const add = (id: string, text: string): void => {
  if (waiting < most()) {
    waiting++;
    write(ENTRY + id, text);
  } else overflow++;
};

/**
 * Keep an event. One that is too large goes in parts, if its items can be parted. What follows an
 * order is no order: a type of its own says that these are more lines of it.
 */
export const put = (event: TrackedEvent): void => {
  const { event_id, event_type, items, value, ...rest } = event;
  const text = attempt(() => JSON.stringify(event));
  if (!text) lose(event, "invalid");
  else if (new Blob([text]).size <= MAX_BYTES) add(event_id, text);
  else if (items?.[1]) {
    const half = items.length >> 1;
    put({ ...event, items: items.slice(0, half) });
    put({
      ...rest,
      event_type: event_type.replace(/^(purchase|refund)$/, "$1_lines"),
      event_id: uuid7(),
      items: items.slice(half),
    });
  } else lose(event, "too_large");
};

/** Count an event as lost that does not come into the queue. */
export const lose = ({ event_id, event_type }: TrackedEvent, reason: string): void =>
  add(event_id, standInFor(event_id, reason, 1, event_type));

/**
 * Give up an entry; tell whether it was an event, and not a stand-in, which stays. What the server
 * has refused was not stored, and its stand-in is marked: its time could be what was wrong.
 */
export const drop = ([key, { event_type }]: Entry, reason: string, mark = ""): unknown =>
  event_type != LOST && write(key, standInFor(mark + key.slice(4), reason, 1, event_type));

/** Give all entries, oldest first. */
export const entries = (): Entry[] => {
  const oldest = ENTRY + uuid7(Date.now() - DAY_MS * (config.maxAgeDays || 7));
  // Words of losses have room of their own, and that has its bound too.
  if (overflow && waiting < 2 * most()) {
    const id = uuid7();
    write(ENTRY + id, standInFor(id, "queue_full", overflow));
    overflow = 0;
  }
  waiting = 0;
  const all = readAll();
  return Object.keys(all)
    .filter((key) => key[4] && OURS.test(key))
    .sort()
    .map((key): Entry => [key, parse(all[key]!)])
    .filter((entry) => {
      waiting++;
      return entry[1].event_type
        ? entry[0] > oldest || !drop(entry, "expired")
        : !drop(entry, "corrupt");
    });
};

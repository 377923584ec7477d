import { config } from "./config";
import { type Entry, drop, entries, waiting } from "./queue";
import { attempt, isGranted, memory, read, remove, write } from "./store";

const TIMEOUT_MS = 15e3;
const LEASE_MS = 3e4;
const LONGEST_BACKOFF_MS = 3e5;
const LONGEST_PAUSE_MS = 36e5;
const LEASE = "mr_l";
const PAUSE = "mr_p";

/** What Millrace says: a verdict for each event, or why it refuses them all. */
interface Document {
  results?: { status?: string; reason?: string }[];
  code?: string;
}

/** What is on its way with a request that outlives the page. */
const underway = new Set<string>();
let timer: number | undefined;
let failures = 0;
/** When this page tries again, by the clock that nobody sets. */
let backoffEnd = 0;
/** Events of one request. So many, of 2 KB each, a page that goes away may send. */
let mostEvents = 29;

const urlOf = (): string =>
  (config.endpoint || "/mr/in") + (config.key ? "?writeKey=" + encodeURIComponent(config.key) : "");

/** Cut off the first entries, as many as fit into one request, and write its body. */
const take = (found: Entry[]): [piece: Entry[], body: string] => {
  const piece = found.splice(0, mostEvents);
  piece.forEach(([key]) => underway.add(key));
  return [piece, JSON.stringify({ events: piece.map((entry) => entry[1]), sent_at: Date.now() })];
};

// Plain text, and no header of our own: the browser need not ask the server before.
const post = (body: string): Promise<Response> =>
  fetch(urlOf(), {
    method: "POST",
    body,
    keepalive: true,
    signal: AbortSignal.timeout?.(TIMEOUT_MS),
  } as RequestInit);

/**
 * Act on an answer; tell whether that moved anything, so that more may follow at once. Only what
 * Millrace says is final: a proxy, a firewall or a hotel's log-in page may answer in its place.
 */
const judge = (piece: Entry[], status: number, { results, code }: Document): unknown =>
  status == 413 && piece[1]
    ? (mostEvents = piece.length >> 1)
    : piece.filter((entry, index) => {
        // A stand-in that is refused with its batch waits for better days.
        if (!results && (status == 413 || (code && /^4(?!08|2[59])/.test(status as any))))
          return drop(entry, code || "too_large") && status == 413;
        const verdict = status == 204 ? {} : results?.[index];
        const isFinal = verdict && verdict.status != "retry";
        if (isFinal && (verdict.status != "rejected" || !drop(entry, verdict.reason!, "-")))
          remove(entry[0]);
        return isFinal;
      })[0];

/** Tell whether a moment lies ahead that any tab has written. */
const isAhead = (key: string): boolean => {
  const left = (read(key) as any) - Date.now();
  // A clock that was set back must not stop us for long.
  return left > 0 && left < 2 * LONGEST_PAUSE_MS;
};

const setTime = (key: string, ms: number): string => write(key, `${Date.now() + ms}`);

/** Send piece after piece, the oldest first, until all is sent or one is not answered for. */
const sendAll = async (): Promise<void> => {
  const [piece, body] = take(entries());
  let answer: Response | undefined;
  let isSettled: unknown;
  if (!piece[0]) return;
  try {
    answer = await post(body);
    isSettled = judge(piece, answer.status, await answer.json().catch(() => ({})));
  } catch {
    // Without an answer nobody knows what became of the events: they stay.
  }
  piece.forEach(([key]) => underway.delete(key));
  if (isSettled) {
    failures = 0;
    return sendAll();
  }
  const told: any = answer?.headers.get("Retry-After");
  // Seconds, or a date.
  const asked = Math.min(LONGEST_PAUSE_MS, told * 1e3 || Date.parse(told) - Date.now());
  // Full jitter: clients that failed together must not come back together.
  const backoff = Math.random() * Math.min(LONGEST_BACKOFF_MS, 1e3 * 2 ** failures++);
  backoffEnd = performance.now() + backoff;
  // All tabs and later pages keep what the server asks for.
  if (asked > 0) setTime(PAUSE, asked + backoff);
};

/** Send what waits, unless a pause is on or another tab is at it. */
export const flush = async (): Promise<void> => {
  if (isGranted() && !isAhead(PAUSE) && backoffEnd < performance.now()) {
    // One at a time; two would do no harm, as the server stores an id once.
    if (navigator.locks)
      await navigator.locks
        .request(LEASE, { ifAvailable: true }, (lock) => lock && sendAll())
        .catch(sendAll);
    else if (!isAhead(LEASE)) {
      setTime(LEASE, LEASE_MS);
      await sendAll();
      remove(LEASE);
    }
  }
  wait();
};

const wait = (): void => {
  if (waiting && isGranted())
    timer =
      timer ||
      setTimeout(() => {
        timer = 0;
        void flush();
      }, config.flushMs || 5e3);
};

/** Send soon, or at once when much waits. */
export const notice = (): void => {
  if (waiting >= (config.flushAt || 10)) void flush();
  wait();
};

/** The network is back. What the server asked for still holds. */
export const resume = (): void => {
  backoffEnd = 0;
  void flush();
};

/**
 * Send this page's events with beacons, unless the server asked for a pause. What became of those
 * nobody learns: the events stay, and the next page sends them again. The server stores an id once.
 */
export const leave = (): void => {
  const rest = entries().filter(([key]) => key in memory && !underway.has(key));
  while (isGranted() && !isAhead(PAUSE) && rest[0]) {
    const [, body] = take(rest);
    // Some browsers have no beacons, some extensions take them away.
    if (!attempt(() => navigator.sendBeacon(urlOf(), body))) post(body).catch(() => {});
  }
};

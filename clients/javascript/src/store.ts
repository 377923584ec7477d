import { config } from "./config";

/** Run what may throw; give undefined then. */
export const attempt = <T>(work: () => T): T | undefined => {
  try {
    return work();
  } catch {}
};

/** Read JSON; other text is itself. */
export const parse = (text: string): any => attempt(() => JSON.parse(text)) ?? text;

const CONSENT = "mr_c";
/** Our texts but the choice. Other scripts have names that begin like ours. */
export const OURS = /^mr_([alpsu]|q.{36})$/;

/** What this page has written: it outlives a localStorage that is full, forbidden or cleared. */
export const memory: Record<string, string> = {};

export const read = (key: string): string | undefined =>
  attempt(() => localStorage[key]) ?? memory[key];

/**
 * Give all texts, those of other tabs and earlier pages too. What localStorage would not take
 * comes before what it has.
 */
export const readAll = (): Record<string, string> => ({
  ...attempt(() => localStorage),
  ...memory,
});

/** Tell whether the person may be tracked: by the browser's signal, their choice, the default. */
export const consent = (): string =>
  config.respectDnt !== false &&
  ((navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl ||
    (navigator.doNotTrack as any) == 1)
    ? "denied"
    : read(CONSENT) || config.consent || "granted";

export const isGranted = (): boolean => consent() == "granted";

/** Write what so far is in memory only. */
const persist = (): void => {
  for (const key in memory) attempt(() => (localStorage[key] = memory[key]));
};

/** Keep a text; before consent is granted, in memory only. */
export const write = (key: string, text: string): string => {
  memory[key] = text;
  if (isGranted()) attempt(() => (localStorage[key] = text));
  return text;
};

export const remove = (key: string): void => {
  delete memory[key];
  attempt(() => delete localStorage[key]);
};

/** Remember the person's choice. */
export const choose = (choice: string): void => {
  memory[CONSENT] = choice;
  persist();
};

/** Forget all that this page and others have written, but for the choice. */
export const removeAll = (): void => {
  for (const key in readAll()) if (OURS.test(key)) remove(key);
};

/** Follow what other tabs do to the texts of this page: theirs are in localStorage, or gone. */
export const follow = (): void =>
  addEventListener("storage", ({ key }) => {
    if (key) delete memory[key];
    // Somebody has cleared localStorage.
    else if (isGranted()) persist();
  });

let last = 0;

/** Give the time, later than any given before: ids made of it keep the order of the events. */
export const now = (): number => (last = Math.max(Date.now(), last + 1));

/** Make a UUIDv7 of a time. */
export const uuid7 = (time = now()): string =>
  (crypto.getRandomValues(new Uint8Array(18)) as unknown as number[])
    .reduce((hex, byte) => hex + (byte % 16).toString(16), time.toString(16).padStart(12, 0 as any))
    .replace(/(.{8})(.{4})(...)(...)/, "$1-$2-7$3-8$4-");

/** What an event may say. Names that are not listed here are kept among its properties. */
export interface EventData {
  product_id?: string | number;
  entity_type?: string;
  entity_id?: string | number;
  items?: readonly Item[];
  quantity?: number;
  /** Money of a purchase, stars of a rating. */
  value?: number;
  duration_ms?: number;
  properties?: Record<string, unknown>;
  /** Why reports leave the event out, such as "staff". */
  excluded?: string | undefined;
  [property: string]: unknown;
}

/** One product of a list or an order. */
export interface Item {
  product_id: string | number;
  quantity?: number;
  /** Money of the line: units times unit price. */
  value?: number;
  /** Place in a list, from 1. */
  position?: number;
  [property: string]: unknown;
}

/** An event as it is sent. */
export interface TrackedEvent extends EventData {
  event_type: string;
  event_id: string;
  occurred_at: number;
}

export type Consent = "granted" | "pending" | "denied";

/** On a script tag each is an attribute: `flushMs` is `data-flush-ms`. */
export interface Config {
  /** The write key, wk_… */
  key?: string;
  /** Where events go. Default: beside the script, or /mr/in of the page's origin. */
  endpoint?: string;
  /** Track page views, those of single-page navigation included. Default true. */
  auto?: boolean;
  /** The state until the person chooses. Default "granted". */
  consent?: Consent;
  /** Do Not Track and Global Privacy Control mean denied. Default true. */
  respectDnt?: boolean;
  /**
   * Changes an event before it is kept, or drops it by giving nothing. Also the name of a
   * global function.
   */
  beforeSend?: ((event: TrackedEvent) => TrackedEvent | null | undefined | void) | string;
  /** Why reports leave this page's events out. Default: "headless" in an automated browser. */
  excluded?: string | false;
  /** Events that are sent at once. Default 10. */
  flushAt?: number;
  /** Longest wait of an event before it is sent. Default 5000. */
  flushMs?: number;
  /** Events the queue holds, each of at most 2048 bytes. Default 1000. */
  maxEvents?: number;
  /** Age in days at which events are given up. Default 7. */
  maxAgeDays?: number;
}

/** A duration that is being measured. */
export interface Timing {
  /** Track the event with its duration_ms. Later calls do nothing. */
  complete(data?: EventData): void;
  /** Forget it. */
  cancel(): void;
}

/** No method throws, whatever it is given. */
export interface Tracker {
  track(type: string, data?: EventData): void;
  page(data?: EventData): void;
  /** Say who the person is; later events carry the id, on later pages too. */
  identify(userId: string | number, traits?: Record<string, unknown>): void;
  /** Forget the person: a new anonymous id and a new session. */
  reset(): void;
  optIn(): void;
  /** Send and store nothing more, and delete what is stored, but for the choice itself. */
  optOut(): void;
  /** Send what waits; resolves when that was tried, or while another request or tab is at it. */
  flush(): Promise<void>;
  timed(type: string, data?: EventData): Timing;

  /** A product's page was seen. */
  view(productId: string | number, data?: EventData): void;
  /** A product was clicked in a list. */
  click(productId: string | number, data?: EventData): void;
  favorite(productId: string | number, data?: EventData): void;
  favourite(productId: string | number, data?: EventData): void;
  unfavorite(productId: string | number, data?: EventData): void;
  addToCart(productId: string | number, data?: EventData): void;
  removeFromCart(productId: string | number, data?: EventData): void;
  /** An order: its lines, and what else is known of it, such as order_id. */
  purchase(items: readonly Item[], data?: EventData): void;
}

import type { EventData, Tracker } from "./m.js";
/**
 * Track the products of lists as they come into sight: each that is half in sight, once a page
 * view, and those of a list that come together in one event. Elements name their product in
 * data-product-id; an element around them names the list in data-list, and positions are those in
 * it. Without elements given, it is all of the page, those that come later too. Gives a function
 * that ends it.
 */
export declare const watchImpressions: (tracker: Pick<Tracker, "track">, elements?: Iterable<Element>, data?: EventData) => (() => void);

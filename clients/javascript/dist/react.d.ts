import { type Config, type Tracker } from "./m.js";
/**
 * Give the page's tracker to a component: always the same object. The first component that gives
 * a config starts it, unless a script tag has. Timings that the component began and did not
 * complete are cancelled when it goes away.
 */
export declare const useActivityTracker: (config?: Config) => Tracker;

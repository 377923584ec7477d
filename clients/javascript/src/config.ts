import type { Config } from "./types";

/** The page's configuration: a page has one tracker. Until it is there, no method does anything. */
export let config: Config;

export const configure = (given: Config): Config => (config = given);

import { readData } from "./dom";
import { attempt } from "./store";
import { init } from "./tracker";
import type { Config } from "./types";

// What the page's stub has gathered until now; a second script tag finds a tracker and is idle.
const stub = (window as any).millrace;
if (!stub?.track) {
  const { src, dataset } = document.currentScript as HTMLScriptElement;
  const config: Record<string, unknown> = { endpoint: new URL("in", src) };
  for (const name in dataset) config[name] = readData(dataset, name);
  const tracker: any = init(config as Config);
  const call = (name: string, ...values: unknown[]) => attempt(() => tracker[name]?.(...values));
  (window as any).millrace = Object.assign(call, tracker);
  for (const values of stub?.q || []) call(...(values as [string]));
  // That module finds this attribute too, and starts by itself.
  if ("impressions" in dataset) import(new URL("impressions.mjs?on", src) as any).catch(() => {});
}

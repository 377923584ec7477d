export { init } from "./tracker";
export type * from "./types";

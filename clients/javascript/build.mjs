// Build dist/ from src/: the script for a tag, the modules, and their types.
// With a directory as its argument, builds there.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "dist");

/** The hook uses the module that lies beside it, not a copy of it. */
const besideModule = {
  name: "beside",
  setup: ({ onResolve }) =>
    onResolve({ filter: /^\.\/index$/ }, () => ({ path: "./m.mjs", external: true })),
};

/** Bundle with esbuild; terser makes what it gives 4 % smaller. */
const bundle = async (entry, file, format) => {
  const { outputFiles } = await build({
    entryPoints: [join(here, "src", entry)],
    bundle: true,
    write: false,
    format,
    target: "es2020",
    external: ["react"],
    minifySyntax: true,
    // Modules are strict by themselves; the script for a tag does not say it, to be smaller.
    tsconfigRaw: { compilerOptions: { strict: false, alwaysStrict: false } },
    plugins: entry === "react.ts" ? [besideModule] : [],
  });
  const { code } = await minify(outputFiles[0].text, {
    ecma: 2020,
    module: format === "esm",
    toplevel: true,
    compress: { passes: 3, unsafe: true, unsafe_arrows: true, pure_getters: true },
  });
  writeFileSync(join(out, file), `${code}\n`);
  const gzipped = gzipSync(code, { level: 9 }).length;
  console.log(`${file.padEnd(16)} ${code.length} bytes, ${gzipped} gzipped`);
};

await bundle("browser.ts", "m.js", "iife");
await bundle("index.ts", "m.mjs", "esm");
await bundle("impressions.ts", "impressions.mjs", "esm");
await bundle("react.ts", "react.mjs", "esm");

// The declarations: all types in one file, and what the entries export.
const types = mkdtempSync(join(tmpdir(), "types-"));
try {
  const tsc = join(here, "node_modules", "typescript", "bin", "tsc");
  const flags = ["--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--outDir", types];
  execFileSync(process.execPath, [tsc, "-p", here, ...flags], { stdio: "inherit" });
  const read = (name) => readFileSync(join(types, `${name}.d.ts`), "utf8");
  const init = read("tracker").match(/\/\*\*[^]*?\*\/\nexport declare const init[^;]*;/)[0];
  writeFileSync(join(out, "m.d.ts"), `${read("types")}${init}\n`);
  for (const name of ["impressions", "react"])
    writeFileSync(join(out, `${name}.d.ts`), read(name).replace(/\.\/(index|types)"/, './m.js"'));
} finally {
  rmSync(types, { recursive: true });
}

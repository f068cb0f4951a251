// Builds static/dist: one script (and the editor's), one style sheet, the icons that the templates name, the favicon.
// Beside what is large stands the same compressed, which WhiteNoise serves to browsers that take it.

import { context } from "esbuild";
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(here, "dist");
const templates = path.join(here, "..", "templates");

async function* files(directory, ending) {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const full = path.join(directory, entry.name);
    if (entry.isDirectory()) yield* files(full, ending);
    else if (entry.name.endsWith(ending)) yield full;
  }
}

/** A sprite of the icons that templates use by {% icon "name" %}; an unknown name fails the build. */
async function sprite() {
  const names = new Set();
  for await (const file of files(templates, ".html")) {
    const text = await readFile(file, "utf8");
    for (const match of text.matchAll(/{%\s*icon\s+"([a-z0-9-]+)"/g)) names.add(match[1]);
  }
  const symbols = [];
  for (const name of [...names].sort()) {
    const svg = await readFile(path.join(here, "node_modules/@tabler/icons/icons/outline", `${name}.svg`), "utf8");
    const inner = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>")).trim();
    symbols.push(
      `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" ` +
        `stroke-linecap="round" stroke-linejoin="round">${inner.replaceAll(/\s*\n\s*/g, "")}</symbol>`,
    );
  }
  await writeFile(
    path.join(dist, "icons.svg"),
    `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>\n`,
  );
}

/** Stimulus controllers register by their file's name: live_list_controller.js is "live-list". */
const controllers = {
  name: "controllers",
  setup(build) {
    build.onResolve({ filter: /^controllers$/ }, () => ({ path: "controllers", namespace: "controllers" }));
    build.onLoad({ filter: /.*/, namespace: "controllers" }, async () => {
      const found = (await readdir(path.join(here, "src/controllers"))).filter((name) =>
        name.endsWith("_controller.js"),
      );
      const lines = found.map((name, index) => `import c${index} from "./src/controllers/${name}";`);
      const table = found.map((name, index) => {
        const identifier = name.replace("_controller.js", "").replaceAll("_", "-");
        return `["${identifier}", c${index}]`;
      });
      return { contents: `${lines.join("\n")}\nexport default [${table.join(", ")}];`, resolveDir: here };
    });
  },
};

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
await copyFile(path.join(here, "src/favicon.svg"), path.join(dist, "favicon.svg"));
await sprite();

const build = await context({
  entryPoints: {
    app: path.join(here, "src/app.js"),
    editor: path.join(here, "src/editor.js"),
    theme: path.join(here, "src/theme.js"),
  },
  bundle: true,
  minify: true,
  sourcemap: false,
  format: "iife",
  target: ["es2022"],
  outdir: dist,
  loader: { ".woff2": "file" },
  plugins: [controllers],
  logLevel: "warning",
});
if (process.argv.includes("--watch")) await build.watch();
else {
  await build.rebuild();
  await build.dispose();
  for (const name of ["app.css", "app.js", "editor.js", "icons.svg"]) {
    await writeFile(path.join(dist, `${name}.gz`), gzipSync(await readFile(path.join(dist, name)), { level: 9 }));
  }
}

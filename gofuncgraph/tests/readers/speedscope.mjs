// Opens files in speedscope in a headless Chromium and tells what it shows.
//
//     node speedscope.mjs FOLDER CHROMIUM SCREENSHOTS FILE...
//
// FOLDER is where npm installed the packages of package.json; SCREENSHOTS gets a picture of each
// page. A line of JSON is printed for each file: {"error", "warnings", "profiles"}, where a profile
// is {"name", "functions"} and functions are the rows of the sandwich view. Pages come from a
// server on 127.0.0.1, and every other address is refused.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";

const [folder, chromium, screenshots, ...files] = process.argv.slice(2);
const playwright = createRequire(path.join(folder, "package.json"))("playwright-core");
const pages = path.join(folder, "node_modules", "speedscope", "dist", "release");

const CONTENT_TYPES = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};

// Runs in the page. Kept there, as there may be many.
function collectProblems() {
  window.problems = [];
  // Said of every call whose end has arguments, of which its beginning cannot know. The call is
  // ended all the same.
  const expected = /^ts=\S+ Tried to end ".*\. Ending .* instead\.$/s;
  for (const kind of ["warn", "error"]) {
    console[kind] = (...words) => {
      const text = words.join(" ");
      if (!expected.test(text)) {
        window.problems.push(text);
      }
    };
  }
}

async function answer(request, response) {
  const { pathname } = new URL(request.url, "http://127.0.0.1");
  const [, kind, index] = pathname.split("/");
  const file = kind === "trace" ? files[Number(index)] : path.join(pages, path.normalize(pathname));
  try {
    const content = await readFile(file);
    const type = CONTENT_TYPES[path.extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type });
    response.end(content);
  } catch {
    response.writeHead(404);
    response.end();
  }
}

async function open(context, origin, index) {
  const said = { error: null, warnings: [], profiles: [] };
  const page = await context.newPage();
  await page.addInitScript(collectProblems);
  page.on("pageerror", (error) => said.warnings.push(String(error)));
  const dialog = page.waitForEvent("dialog").then(async (dialog) => {
    said.error = dialog.message();
    await dialog.dismiss();
  });
  const name = path.basename(files[index]);
  const trace = encodeURIComponent(`${origin}/trace/${index}/${encodeURIComponent(name)}`);
  await page.goto(`${origin}/index.html#profileURL=${trace}`);
  const failed = page.waitForSelector("text=Something went wrong").then(() => {
    said.error ??= "speedscope says that something went wrong";
  });
  const loaded = page.waitForSelector("text=Sandwich").then(() => readProfiles(page, said));
  // What comes first decides; the others end with the page.
  const ends = [dialog, failed, loaded];
  await Promise.any(ends);
  said.warnings.push(...(await page.evaluate(() => window.problems)));
  await page.screenshot({ path: path.join(screenshots, `${name}.png`) });
  await page.close();
  await Promise.allSettled(ends);
  return said;
}

// Several profiles stand in a table whose rows have their names as titles; a single one has none.
async function readProfiles(page, said) {
  const names = await page.$$eval("tr[title]", (rows) => rows.map((row) => row.title));
  await page.click("text=Sandwich");
  for (let index = 0; index < Math.max(names.length, 1); index += 1) {
    if (index > 0) {
      await page.keyboard.press("n");
    }
    if (names.length > 1) {
      await page.waitForSelector(`text=(${index + 1}/${names.length})`);
    }
    const functions = await page.evaluate(async () => {
      const drawn = () => new Promise((resolve) => requestAnimationFrame(resolve));
      await drawn();
      await drawn();
      const head = [...document.querySelectorAll("th")].find((cell) =>
        cell.textContent.endsWith("Symbol Name"),
      );
      const rows = [...head.closest("table").parentElement.querySelectorAll("tr:has(td)")];
      return rows.map((row) => row.lastElementChild.textContent);
    });
    said.profiles.push({ name: names[index] ?? null, functions });
  }
}

const server = createServer(answer);
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const profile = await mkdtemp(path.join(tmpdir(), "speedscope-chromium-"));
const context = await playwright.chromium.launchPersistentContext(profile, {
  executablePath: chromium,
  headless: true,
  // Only rows that there is room for are drawn.
  viewport: { width: 1200, height: 2000 },
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  // Machines may be busy.
  context.setDefaultTimeout(120_000);
  const origin = `http://127.0.0.1:${server.address().port}`;
  await context.route("**/*", (route) =>
    route.request().url().startsWith(origin) ? route.continue() : route.abort(),
  );
  for (const index of files.keys()) {
    console.log(JSON.stringify(await open(context, origin, index)));
  }
} finally {
  await context.close();
  server.close();
  await rm(profile, { recursive: true, force: true });
}

// Places the scenes of `c4gen export --format scenes` (standard input) with c4gen, Graphviz, LikeC4 and Mermaid, counts
// in all of them what hinders reading, and writes the figures as JSON to the standard output.
//
//   node main.mjs c4gen                        c4gen's own pictures alone; needs nothing installed
//   node main.mjs all MODULES BROWSER-MODULES  the folders of `install.sh exports` and `install.sh browser`
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

import { count } from './count.mjs';
import { c4gen, graphviz, likec4, mermaid } from './tools.mjs';

const [which, ...folders] = process.argv.slice(2);
const [modules, browserModules] = folders.map((folder) => resolve(folder));
const scenes = readFileSync(0, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));

let browser = null, page = null;
if (which === 'all') {
  const { chromium } = createRequire(`${browserModules}/`)('playwright-core');
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  page = await browser.newPage();
  await page.addScriptTag({ path: `${modules}/mermaid/mermaid.min.js` });
}
const tools = {
  c4gen,
  ...(which === 'all' && { graphviz, likec4: (scene) => likec4(scene, modules), mermaid: (scene) => mermaid(scene, page) }),
};

const figures = [];
for (const scene of scenes.filter((one) => one.arrows.length > 0)) {
  const by = {};
  for (const [name, place] of Object.entries(tools)) {
    const picture = await place(scene);
    by[name] = { ...count(picture), label_pixels: picture.label_pixels };
  }
  figures.push({ scene: scene.id, title: scene.title, by });
}
await browser?.close();
process.stdout.write(`${JSON.stringify(figures, null, 1)}\n`);
process.exit(0);

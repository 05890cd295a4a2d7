// Opens the architecture site in Chromium, as files, and says what a reader would miss: one line a fault on standard
// output, exit code 1 when there is one.
//
//   node look.mjs SITE-FOLDER MODULES-FOLDER
import { createRequire } from 'node:module';
import { readdirSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';

const [site, modules] = process.argv.slice(2).map((path) => resolve(path));
const require = createRequire(`${modules}/`);
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const faults = [];
const demand = (holds, what) => { if (!holds) faults.push(what); };
const url = (file) => `${pathToFileURL(site)}/${file}`;
const story = readdirSync(site).find((name) => name.startsWith('story-'));
const PAGES = ['index.html', 'context.html', 'containers.html', 'system-data_platform.html', 'flows.html', story,
  'flow-postgres_full_load.html', 'element-raw_lake.html', 'dependencies.html', 'target.html', 'elements.html', 'changes.html'];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

async function open(options, look) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.on('request', (request) => demand(/^(file|data):/.test(request.url()), `a request left the page: ${request.url()}`));
  page.on('pageerror', (error) => faults.push(`a script failed: ${error}`));
  page.setDefaultTimeout(10000);
  await look(page);
  await context.close();
}

// Nothing is in the way of people who do not see, do not use a mouse, or have a small screen.
for (const colorScheme of ['light', 'dark']) {
  await open({ colorScheme }, async (page) => {
    for (const file of PAGES) {
      await page.goto(url(file));
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
      for (const { id, help, nodes } of violations) {
        faults.push(`${file}, ${colorScheme}: axe ${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.target.join(' ')).join('; ')}`);
      }
    }
  });
}
for (const width of [390, 820, 1440]) {
  await open({ viewport: { width, height: 900 } }, async (page) => {
    for (const file of PAGES) {
      await page.goto(url(file));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      demand(wide <= width, `${file} is ${wide} pixels wide on a screen of ${width}`);
      // A picture opens on something: a whole box is in sight, at a size that can be read.
      const opens = await page.evaluate(() => {
        const frame = document.querySelector('[data-viewer]')?.getBoundingClientRect();
        if (!frame) return { whole: true, letters: 11 };
        const whole = [...document.querySelectorAll('[data-viewer] .node .body')].map((one) => one.getBoundingClientRect())
          .some((at) => at.left >= frame.left - 1 && at.right <= frame.right + 1 && at.top >= frame.top - 1 && at.bottom <= frame.bottom + 1);
        const by = document.querySelector('[data-viewer] .label .moves');
        return { whole, letters: by ? parseFloat(getComputedStyle(by).fontSize) * by.getScreenCTM().a : 11 };
      });
      demand(opens.whole, `${file} opens on no box on a screen of ${width}`);
      demand(opens.letters > 10, `${file} opens with letters of ${opens.letters.toFixed(1)} pixels on a screen of ${width}`);
    }
  });
}

const viewBox = (page) => page.$eval('[data-viewer] svg', (svg) => svg.getAttribute('viewBox'));
await open({}, async (page) => {
  await page.goto(url('system-data_platform.html'));

  // Every text lies inside its box, whatever fonts this machine has.
  const outside = await page.$$eval('svg .node', (nodes) => nodes.flatMap((node) => {
    const body = node.querySelector('.body').getBBox();
    return [...node.querySelectorAll('text')].filter((text) => {
      const box = text.getBBox();
      return box.x < body.x + 2 || box.x + box.width > body.x + body.width - 2 || box.y < body.y || box.y + box.height > body.y + body.height + 2;
    }).map((text) => `${node.dataset.id}: ${text.textContent}`);
  }));
  for (const text of outside) faults.push(`text sticks out of its box: ${text}`);
  const onEachOther = await page.$$eval('svg text', (texts) => {
    const boxes = texts.map((text) => ({ text: text.textContent, group: text.parentNode, box: text.getBBox() }));
    return boxes.flatMap((one, index) => boxes.slice(index + 1)
      .filter((other) => one.group !== other.group && one.box.x < other.box.x + other.box.width && other.box.x < one.box.x + one.box.width
        && one.box.y + 2 < other.box.y + other.box.height && other.box.y + 2 < one.box.y + one.box.height)
      .map((other) => `${one.text} / ${other.text}`));
  });
  for (const pair of onEachOther) faults.push(`texts lie on each other: ${pair}`);

  // Drag, wheel, keys, buttons.
  const frame = await page.locator('[data-viewer]').boundingBox();
  const start = await viewBox(page);
  const changes = async (what, act) => {
    const before = await viewBox(page);
    await act();
    demand(await viewBox(page) !== before, `${what} does not move the diagram`);
  };
  await changes('the wheel', async () => { await page.mouse.move(frame.x + 300, frame.y + 300); await page.mouse.wheel(0, -240); await page.waitForTimeout(50); });
  await changes('dragging', async () => { await page.mouse.down(); await page.mouse.move(frame.x + 200, frame.y + 240, { steps: 4 }); await page.mouse.up(); });
  await page.locator('[data-viewer]').focus();
  for (const key of ['+', '-', 'ArrowLeft', 'ArrowDown', '0']) await changes(`the key ${key}`, () => page.keyboard.press(key));
  await changes('zooming in', () => page.click('[data-zoom=in]'));
  await changes('fitting', () => page.click('[data-zoom=fit]'));
  demand(start !== '', 'the diagram has no view');

  // The keyboard reaches every box and label, and shows where it is.
  const links = await page.$$eval('[data-viewer] svg a', (all) => all.length);
  await page.locator('[data-zoom=in]').click({ clickCount: 4 });
  await page.locator('[data-viewer]').focus();
  const reached = new Set();
  for (let step = 0; step < links + 6; step += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const link = document.activeElement, all = [...document.querySelectorAll('[data-viewer] svg a')], index = all.indexOf(link);
      const box = link.getBoundingClientRect(), frame = document.querySelector('[data-viewer]').getBoundingClientRect();
      const middle = [box.left + box.width / 2, box.top + box.height / 2];
      return { index, seen: middle[0] >= frame.left && middle[0] <= frame.right && middle[1] >= frame.top && middle[1] <= frame.bottom, name: link.textContent.trim() };
    });
    if (at.index < 0) continue;
    reached.add(at.index);
    demand(at.seen, `the keyboard leads to ${at.name}, out of sight`);
    demand(Boolean(at.name), 'a link of the diagram has no name');
  }
  demand(reached.size === links, `the keyboard reaches ${reached.size} of ${links} links of the diagram`);

  // A box leads on.
  await page.goto(url('context.html'));
  await page.locator('[data-id=data_platform]').focus().catch(() => {});
  await page.locator('a:has([data-id=data_platform])').focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(/system-data_platform\.html/);

  // Chips, in the address, after a reload.
  await page.goto(url('context.html'));
  const shown = () => page.$$eval('svg .edge.async:not(.retiring)', (all) => all.filter((one) => getComputedStyle(one).display !== 'none').length);
  demand(await shown() > 0, 'there is nothing to switch off');
  await page.locator('label[for=show-async]').click();
  demand(await shown() === 0, 'a chip does not hide its arrows');
  const nameless = await page.$$eval('svg a', (all) => all.filter((one) => getComputedStyle(one).display !== 'none' && one.getBBox().width === 0).length);
  demand(nameless === 0, `a chip leaves ${nameless} links without a label`);
  demand(page.url().endsWith('#hide=async'), `the address does not keep the chips: ${page.url()}`);
  await page.reload();
  demand(await shown() === 0, 'a reload forgets the chips');

  // One address, one place.
  await page.goto(url('system-data_platform.html#el=raw_lake'));
  const centred = await page.$eval('[id="el=raw_lake"]', (node) => {
    const box = node.getBoundingClientRect(), frame = document.querySelector('[data-viewer]').getBoundingClientRect();
    return Math.abs(box.left + box.width / 2 - frame.left - frame.width / 2) < 60 && Math.abs(box.top + box.height / 2 - frame.top - frame.height / 2) < 60;
  });
  demand(centred, '#el=raw_lake does not lead to the box');

  // The small picture of a large one leads there, and says where one is.
  await page.goto(url('system-data_platform.html'));
  await page.locator('.minimap').scrollIntoViewIfNeeded();
  const map = await page.locator('.minimap').boundingBox();
  demand(map && map.width <= 200 && map.height <= 160, 'a large picture has no small one of itself');
  await changes('the small picture', () => page.mouse.click(map.x + map.width / 2, map.y + map.height - 6));
  const inside = await page.$eval('.minimap .frame', (one) => Number(one.getAttribute('y')) > 300);
  demand(inside, 'the frame in the small picture stays behind');
  await page.goto(url('flow-postgres_full_load.html'));
  demand(await page.locator('.minimap').count() === 0, 'a small picture has a smaller one');

  // Words leave in sight what holds them, kept in the address: a technology, an owner.
  await page.goto(url('context.html'));
  // A box under the pointer would dim all that it has nothing to do with.
  await page.mouse.move(1, 1);
  const kept = () => page.$$eval('svg.c4 .node', (all) => all.filter((one) => getComputedStyle(one).opacity === '1').map((one) => one.dataset.id));
  const everything = (await kept()).length;
  await page.fill('[data-filter]', 'platform engineering');
  await page.waitForTimeout(300);
  const owned = await kept();
  demand(owned.includes('keycloak') && owned.length < everything, `an owner leaves ${owned.length} of ${everything} boxes`);
  demand(page.url().includes('only=platform'), 'the address does not keep the words');
  await page.reload();
  await page.waitForTimeout(300);
  demand((await kept()).length === owned.length, 'a reload forgets the words');

  // A slip of the finger does not matter.
  await page.goto(url('index.html'));
  await page.fill('#search', 'keyclaok');
  await page.locator('#found a[href="element-keycloak.html"]').waitFor();

  // Search from the keyboard.
  await page.goto(url('index.html'));
  await page.keyboard.press('/');
  await page.keyboard.type('raw lake');
  await page.locator('#found a').first().waitFor();
  await page.keyboard.press('Enter');
  await page.waitForURL(/element-raw_lake\.html/);

  // Rows that hold every word.
  await page.goto(url('flows.html'));
  await page.fill('[data-filter]', 'pgoutput nonsense');
  demand(await page.$$eval('[data-filtered] tbody tr:not([hidden])', (rows) => rows.length) === 0, 'the filter keeps what does not match');
  await page.fill('[data-filter]', 'hubspot');
  const rows = await page.$$eval('[data-filtered] tbody tr:not([hidden])', (all) => all.length);
  demand(rows > 0 && rows < 12, `the filter leaves ${rows} rows`);

  // Light or dark by choice, kept from page to page.
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const before = await paper();
  await page.click('#theme');
  demand(await paper() !== before, 'the switch of the theme does nothing');
  await page.goto(url('elements.html'));
  demand(await paper() !== before, 'the theme is forgotten on the next page');
});

// Scripts off: pictures, links and switches are there.
await open({ javaScriptEnabled: false }, async (page) => {
  await page.goto(url('target.html'));
  const visible = (selector) => page.locator(selector).first().isVisible();
  demand(await visible('svg .node'), 'without scripts there is no picture');
  await page.locator('label[for=when-today]').click();
  demand(!await visible('svg .label.target'), 'without scripts, today still shows the target');
  await page.locator('label[for=when-target]').click();
  demand(await visible('svg .label.target') && !await visible('svg .label.retiring'), 'without scripts, the target still shows today');
  demand(!await visible('.search') && !await visible('#theme'), 'without scripts there are dead controls');
  await page.goto(url('context.html'));
  const link = await page.locator('svg a:has([data-id=data_platform])').getAttribute('href');
  demand(link === 'system-data_platform.html', 'without scripts a box leads nowhere');
});

// The whole site in one file, scripts off: one page at a time, pictures whole, every link leads somewhere.
for (const theme of ['light', 'dark']) await open({ colorScheme: theme, bypassCSP: true }, async (page) => {
  const seen = () => page.$$eval('main > section', (all) => all.filter((one) => one.offsetHeight > 0).map((one) => one.id).join(' '));
  await page.goto(url('single/whole.html'));
  demand(await seen() === 'p-index', `the one file opens on ${await seen()}`);
  const lost = await page.$$eval('a[href]', (all) => all.map((one) => one.getAttribute('href'))
    .filter((link) => !link.startsWith('#') || !document.getElementById(link.slice(1))));
  demand(lost.length === 0, `links of the one file lead nowhere: ${[...new Set(lost)].slice(0, 3).join(' ')}`);
  const twice = await page.$$eval('[id]', (all) => { const seen = new Set(); return all.map((one) => one.id).filter((id) => seen.size === seen.add(id).size); });
  demand(twice.length === 0, `ids of the one file stand twice: ${twice.slice(0, 3).join(' ')}`);
  demand(await page.locator('script').count() === 0, 'the one file holds a script');
  await page.click('nav a[href="#p-context"]');
  demand(await seen() === 'p-context', `a link of the one file shows ${await seen()}`);
  await page.locator('#p-context svg a:has([data-id=data_platform])').click();
  demand(await seen() === 'p-system-data_platform', `a box of the one file shows ${await seen()}`);
  await page.locator('#p-system-data_platform label[for$="show-async"]').click().catch(() => faults.push('the one file has no switches'));
  const async = await page.$$eval('#p-system-data_platform svg .edge.async:not(.retiring)', (all) => all.filter((one) => getComputedStyle(one).display !== 'none').length);
  demand(async === 0, 'a switch of the one file hides nothing');
  // What is hidden is not judged, and only slows the judge down.
  for (const part of theme === 'light' ? ['p-index', 'p-dependencies'] : ['p-system-data_platform']) {
    await page.goto(url(`single/whole.html#${part}`));
    await page.reload();
    await page.$$eval('main > section', (all) => all.filter((one) => one.offsetHeight === 0).forEach((one) => one.remove()));
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    for (const one of violations) faults.push(`the one file, ${part}, ${theme}: ${one.id}: ${one.nodes[0].html.slice(0, 120)}`);
  }
});

// On paper.
await open({}, async (page) => {
  await page.goto(url('context.html'));
  await page.emulateMedia({ media: 'print' });
  demand(!await page.locator('nav').isVisible(), 'the navigation is printed');
  const pdf = await page.pdf({ preferCSSPageSize: true });
  demand(pdf.length > 10000, 'the page cannot be printed');
});

await browser.close();
for (const fault of faults) console.log(fault);
process.exitCode = faults.length > 0 ? 1 : 0;

// Writes what was measured: all of it into tests/bench/runs/pictures.json, and the tables into docs/c4gen.md, between two
// marks.
//
//   node write.mjs PICTURES.json SITE-FOLDER KEPT-MILLISECONDS COLD-MILLISECONDS REPORT-OF-THE-BUILD
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const [measured, site, kept, cold, report] = process.argv.slice(2);
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const pictures = JSON.parse(readFileSync(measured, 'utf8'));
const { elements, flows } = JSON.parse(report);

const files = readdirSync(site).map((name) => ({ name, bytes: statSync(join(site, name)).size }));
const heaviest = (ending) => files.filter(({ name }) => name.endsWith(ending)).reduce((one, other) => (other.bytes > one.bytes ? other : one));
const zipped = ({ name }) => gzipSync(readFileSync(join(site, name))).length;
const size = (name) => files.find((one) => one.name === name).bytes;
const pages = { heaviest: heaviest('.html'), picture: heaviest('.svg'), script: size('site.js') + size('theme.js'), search: size('search.js') };
const build = {
  elements, flows, files: files.length, bytes: files.reduce((sum, one) => sum + one.bytes, 0),
  kept_milliseconds: Number(kept), cold_milliseconds: Number(cold),
  largest_page: pages.heaviest.name, largest_page_bytes: pages.heaviest.bytes, largest_page_gzip_bytes: zipped(pages.heaviest),
  largest_picture: pages.picture.name, largest_picture_bytes: pages.picture.bytes, largest_picture_gzip_bytes: zipped(pages.picture),
  script_bytes: pages.script, search_bytes: pages.search,
};
writeFileSync(join(root, 'tests/bench/runs/pictures.json'), `${JSON.stringify({ build, pictures }, null, 1)}\n`);

const TOOLS = { c4gen: 'c4gen', graphviz: 'Graphviz', likec4: 'LikeC4', mermaid: 'Mermaid' };
const COUNTS = ['crossings', 'text_on_text', 'text_on_boxes', 'arrows_through_boxes', 'arrows_under_labels'];
const SHOWN_ARROWS = 20;
const row = (cells) => `| ${cells.join(' | ')} |`;
// How large letters are when the picture is fitted into a window.
const letters = ({ label_pixels: pixels, width }) => (pixels * Math.min(1, 1280 / width)).toFixed(1);
const table = [row(['picture', 'placed by', 'arrows', 'crossings', 'text on text', 'text on boxes', 'arrows through boxes', 'arrows under foreign labels', 'size in pixels', 'letters at 1280 px']),
  row(Array(10).fill('---'))];
for (const { title, by } of pictures.filter((one) => one.by.c4gen.arrows >= SHOWN_ARROWS)) {
  Object.entries(TOOLS).forEach(([tool, name], index) => {
    const one = by[tool];
    table.push(row([index === 0 ? title : '', name, one.arrows, ...COUNTS.map((count) => one[count]), `${one.width} × ${one.height}`, letters(one)]));
  });
}
Object.entries(TOOLS).forEach(([tool, name], index) => {
  const sum = (key) => pictures.reduce((total, { by }) => total + by[tool][key], 0);
  table.push(row([index === 0 ? `All ${pictures.length} pictures` : '', name, sum('arrows'), ...COUNTS.map(sum), '', '']));
});

const kilobytes = (bytes) => `${Math.round(bytes / 1024)} KB`;
const times = [row(['the site', '']), row(['---', '---']),
  row(['declared', `${elements} elements, ${flows} flows`]),
  row(['written from kept placement', `${(build.kept_milliseconds / 1000).toFixed(2)} s`]),
  row(['with every picture placed anew', `${(build.cold_milliseconds / 1000).toFixed(1)} s`]),
  row(['whole site', `${build.files} files, ${(build.bytes / 1048576).toFixed(1)} MB`]),
  row(['largest page', `\`${build.largest_page}\`: ${kilobytes(build.largest_page_bytes)}, ${kilobytes(build.largest_page_gzip_bytes)} gzipped`]),
  row(['largest picture', `\`${build.largest_picture}\`: ${kilobytes(build.largest_picture_bytes)}, ${kilobytes(build.largest_picture_gzip_bytes)} gzipped`]),
  row(['script, index of the search', `${kilobytes(build.script_bytes)}, ${kilobytes(build.search_bytes)}`])];

const [start, end] = ['<!-- pictures: written by `make pictures` -->', '<!-- /pictures -->'];
const docs = join(root, 'docs/c4gen.md'), text = readFileSync(docs, 'utf8');
const [before, after] = [text.indexOf(start), text.indexOf(end)];
if (before < 0 || after < before) throw new Error(`${docs} lacks the marks ${start} and ${end}`);
writeFileSync(docs, `${text.slice(0, before)}${start}\n\n${table.join('\n')}\n\n${times.join('\n')}\n\n${text.slice(after)}`);

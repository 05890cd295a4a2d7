// Reads an export from the standard input with the tool it is for, and says what it understood, a line each.
//
//   node read.mjs KIND MODULES-FOLDER MERMAID-BUNDLE
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';

const [kind, modules, bundle] = process.argv.slice(2);
const require = createRequire(`${resolve(modules)}/`);
const text = readFileSync(0, 'utf8');
const tell = (line) => process.stdout.write(`${line}\n`);

async function d2() {
  // The half of the package that Node's `require` would take does not load.
  const { D2 } = await import(pathToFileURL(`${resolve(modules)}/node_modules/@terrastruct/d2/dist/node-esm/index.js`));
  const { diagram } = await new D2().compile(text);
  diagram.shapes.forEach((shape) => tell(`element ${shape.id}`));
  diagram.connections.forEach((arrow) => tell(`arrow ${arrow.src} -> ${arrow.dst}: ${arrow.label}`));
  diagram.layers.forEach((layer) => tell(`view ${layer.name} ${layer.connections.filter((one) => one.label).length}`));
}

async function backstage() {
  const model = require('@backstage/catalog-model');
  const check = {
    Component: model.componentEntityV1alpha1Validator,
    Domain: model.domainEntityV1alpha1Validator,
    Group: model.groupEntityV1alpha1Validator,
    Resource: model.resourceEntityV1alpha1Validator,
    System: model.systemEntityV1alpha1Validator,
  };
  const policies = [new model.SchemaValidEntityPolicy(), new model.DefaultNamespaceEntityPolicy(),
    new model.FieldFormatEntityPolicy(), new model.NoForeignRootFieldsEntityPolicy()];
  const known = new Set(), named = [];
  for (const document of require('yaml').parseAllDocuments(text)) {
    if (document.errors.length) throw document.errors[0];
    let entity = document.toJS();
    for (const policy of policies) entity = await policy.enforce(entity);
    if (!(await check[entity.kind].check(entity))) throw new Error(`${entity.kind} ${entity.metadata.name} is not valid`);
    const own = model.stringifyEntityRef(entity);
    if (known.has(own)) throw new Error(`${own} stands twice`);
    known.add(own);
    tell(`element ${entity.metadata.name}`);
    const { owner, system, domain, subdomainOf, dependsOn = [], dependencyOf = [] } = entity.spec;
    const reference = (name, defaultKind) => model.stringifyEntityRef(model.parseEntityRef(name, { defaultKind, defaultNamespace: 'default' }));
    if (owner) named.push(reference(owner, 'group'));
    if (system) named.push(reference(system, 'system'));
    for (const name of [domain, subdomainOf]) if (name) named.push(reference(name, 'domain'));
    const also = (entity.metadata.annotations?.['c4gen/depends-on'] ?? '').split(', ').filter(Boolean);
    for (const name of [...dependsOn, ...also]) { named.push(reference(name)); tell(`arrow ${own} -> ${name}`); }
    for (const name of dependencyOf) { named.push(reference(name)); tell(`arrow ${name} -> ${own}`); }
  }
  const missing = named.filter((name) => !known.has(name));
  if (missing.length) throw new Error(`nothing is called ${missing.join(', ')}`);
}

async function likec4() {
  const { LikeC4 } = await import(pathToFileURL(require.resolve('likec4')));
  const workspace = await LikeC4.fromSource(text, { logger: false });
  const errors = workspace.getErrors();
  if (errors.length) throw new Error(errors.map((error) => `line ${error.line}: ${error.message}`).join('\n'));
  const model = await workspace.computedModel();
  for (const element of model.elements()) tell(`element ${element.id}`);
  for (const arrow of model.relationships()) tell(`arrow ${arrow.source.id} -> ${arrow.target.id}: ${arrow.title}`);
  for (const view of model.views()) tell(`view ${view.id} ${[...view.nodes()].length}`);
}

// Mermaid draws where it is at home, in a browser: what it has drawn is what it has understood.
async function mermaid() {
  const { chromium } = require('playwright-core');
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const page = await browser.newPage();
    await page.addScriptTag({ path: bundle });
    const drawn = await page.evaluate(async (source) => {
      window.mermaid.initialize({ startOnLoad: false, maxEdges: 10000, maxTextSize: 1000000 });
      const { svg } = await window.mermaid.render('drawn', source);
      const picture = new DOMParser().parseFromString(svg, 'text/html');
      const all = (selector, what) => [...picture.querySelectorAll(selector)].map(what);
      return {
        elements: all('.node, .cluster', (one) => one.id.replace(/^.*?flowchart-/, '').replace(/-\d+$/, '').replace(/^drawn-/, '')),
        arrows: all('path[data-edge="true"], path.flowchart-link', (one) => one.getAttribute('data-id') ?? one.id),
        labels: all('.edgeLabel .label, .edgeLabel foreignObject', (one) => one.textContent.trim()),
      };
    }, text);
    drawn.elements.forEach((id) => tell(`element ${id}`));
    drawn.arrows.forEach((id) => tell(`arrow ${id}`));
    [...new Set(drawn.labels)].forEach((label) => tell(`label ${label}`));
  } finally { await browser.close(); }
}

const readers = { d2, backstage, likec4, mermaid };
try {
  await readers[kind]();
  process.exit(0);
} catch (error) {
  process.stderr.write(`${error.stack ?? error}\n`);
  process.exit(1);
}

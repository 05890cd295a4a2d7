// The scenes of `c4gen export --format scenes`, placed by other tools, each in its own way and with its own sizes of
// boxes and letters; only Graphviz, which has no boxes of its own, is given those of c4gen. A placed picture is what
// count.mjs takes, and `label_pixels`, the height of the letters of an arrow.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const CURVE_PIECES = 24;

// A curve of Bézier pieces (one point, then three a piece) as short straight ones.
function straight(points) {
  const line = [points[0]];
  for (let start = 0; start + 3 < points.length; start += 3) {
    const corners = points.slice(start, start + 4);
    for (let step = 1; step <= CURVE_PIECES; step += 1) {
      const [t, u] = [step / CURVE_PIECES, 1 - step / CURVE_PIECES];
      const parts = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
      line.push([0, 1].map((axis) => corners.reduce((sum, corner, index) => sum + corner[axis] * parts[index], 0)));
    }
  }
  return line;
}

export function c4gen(scene) {
  const boxes = scene.boxes.map(({ id, at }) => ({ id, ...at }));
  return { width: scene.width, height: scene.height, boxes, arrows: scene.arrows, label_pixels: 11 };
}

// What lies directly inside a border, written by `border` and `box`, from the outermost.
function nested(scene, border, box, parent = null) {
  const inner = scene.boundaries.filter((one) => one.parent === parent).map((one) => border(one, nested(scene, border, box, one.id)));
  return [...inner, ...scene.boxes.filter((one) => one.parent === parent).map(box)].join('\n');
}

export function graphviz(scene) {
  const quoted = (text) => `"${text.replace(/["\\]/g, '\\$&')}"`;
  const borders = new Set(scene.boundaries.map(({ id }) => id));
  // `dot` leads an arrow to a border by way of a box inside it.
  const inside = (id) => {
    if (!borders.has(id)) return id;
    return scene.boxes.find((one) => one.parent === id)?.id ?? inside(scene.boundaries.find((one) => one.parent === id).id);
  };
  const body = nested(scene,
    ({ id, title }, content) => `subgraph ${quoted(`cluster_${id}`)} { label=${quoted(title)};\n${content}\n}`,
    ({ id, at }) => `${quoted(id)} [shape=box, fixedsize=true, label="", width=${at.width / 72}, height=${at.height / 72}];`);
  const arrows = scene.arrows.map(({ id, from, to, label }) => {
    const ends = [borders.has(from) ? `, ltail=${quoted(`cluster_${from}`)}` : '', borders.has(to) ? `, lhead=${quoted(`cluster_${to}`)}` : ''];
    const room = `<<TABLE BORDER="0" CELLPADDING="0" CELLSPACING="0"><TR><TD FIXEDSIZE="TRUE" WIDTH="${label.width}" HEIGHT="${label.height}"></TD></TR></TABLE>>`;
    return `${quoted(inside(from))} -> ${quoted(inside(to))} [id=${quoted(id)}, label=${room}${ends.join('')}];`;
  });
  const placed = JSON.parse(execFileSync('dot', ['-Tjson0'], { input: `digraph scene { compound=true;\n${body}\n${arrows.join('\n')}\n}`, stdio: ['pipe', 'pipe', 'ignore'] }));
  const [, , width, height] = placed.bb.split(',').map(Number);
  const at = (text) => { const [x, y] = text.split(',').map(Number); return [x, height - y]; };
  const sizes = new Map(scene.boxes.map(({ id, at: size }) => [id, size]));
  const boxes = placed.objects.filter((one) => sizes.has(one.name)).map((one) => {
    const [x, y] = at(one.pos), size = sizes.get(one.name);
    return { id: one.name, x: x - size.width / 2, y: y - size.height / 2, width: size.width, height: size.height };
  });
  const known = new Map(scene.arrows.map((one) => [one.id, one]));
  const drawn = placed.edges.map((one) => {
    const { from, to, label } = known.get(one.id), [x, y] = at(one.lp);
    const parts = one.pos.split(' '), end = parts.find((part) => part.startsWith('e,'));
    const points = straight(parts.filter((part) => !/^[es],/.test(part)).map(at));
    if (end) points.push(at(end.slice(2)));
    return { id: one.id, from, to, points, label: { x: x - label.width / 2, y: y - label.height / 2, width: label.width, height: label.height } };
  });
  return { width, height, boxes, arrows: drawn, label_pixels: 11 };
}

export async function likec4(scene, modules) {
  const require = createRequire(`${modules}/node/`);
  const { LikeC4 } = await import(pathToFileURL(require.resolve('likec4')));
  const quoted = (text) => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const parents = new Map([...scene.boundaries, ...scene.boxes].map(({ id, parent }) => [id, parent]));
  const path = (id) => (parents.get(id) ? `${path(parents.get(id))}.${id}` : id);
  const model = nested(scene,
    ({ id, title }, content) => `${id} = box ${quoted(title)} {\n${content}\n}`,
    ({ id, name, tech, summary }) => `${id} = box ${quoted(name)} { technology ${quoted(tech)}\n description ${quoted(summary)} }`);
  const arrows = scene.arrows.map(({ from, to, moves, tech }) => `${path(from)} -> ${path(to)} ${quoted(moves)} { technology ${quoted(tech)} }`);
  const all = [...parents.keys()].map(path).join(', ');
  const source = `specification { element box }\nmodel {\n${model}\n${arrows.join('\n')}\n}\nviews { view scene { include ${all} } }\n`;
  const workspace = await LikeC4.fromSource(source, { logger: false });
  const errors = workspace.getErrors();
  if (errors.length) throw new Error(errors.map((one) => `line ${one.line}: ${one.message}`).join('\n'));
  const view = (await workspace.diagrams()).find((one) => one.id === 'scene');
  const boxes = view.nodes.filter((one) => one.children.length === 0);
  const drawn = view.edges.map((one) => ({ id: one.id, from: one.source, to: one.target, points: straight(one.points), label: one.labelBBox ?? null }));
  return { width: view.bounds.width, height: view.bounds.height, boxes, arrows: drawn, label_pixels: 14 };
}

// Mermaid draws in a browser; positions are read from the picture.
export async function mermaid(scene, page) {
  const quoted = (text) => `"${text.replace(/"/g, '#quot;')}"`;
  const lines = (...texts) => quoted(texts.filter(Boolean).join('<br/>'));
  const body = nested(scene,
    ({ id, title }, content) => `subgraph ${id}[${quoted(title)}]\n${content}\nend`,
    ({ id, name, tech, summary }) => `${id}[${lines(name, tech, summary)}]`);
  const arrows = scene.arrows.map(({ from, to, moves, tech }) => `${from} -->|${lines(moves, tech)}| ${to}`);
  const drawn = await page.evaluate(async (source) => {
    window.mermaid.initialize({ startOnLoad: false, maxEdges: 10000, maxTextSize: 1000000 });
    const { svg } = await window.mermaid.render('drawn', source);
    document.body.innerHTML = svg;
    const picture = document.querySelector('svg'), { width, height } = picture.viewBox.baseVal;
    Object.assign(picture.style, { maxWidth: 'none', width: `${width}px`, height: `${height}px`, position: 'absolute', left: 0, top: 0 });
    const rect = (part) => { const { x, y, width: wide, height: high } = part.getBoundingClientRect(); return { x: x + scrollX, y: y + scrollY, width: wide, height: high }; };
    const boxes = [...picture.querySelectorAll('.node')].map((node) => ({
      id: node.id.replace(/^.*flowchart-/, '').replace(/-\d+$/, ''), ...rect(node.querySelector('rect, path, polygon') ?? node),
    }));
    const paths = [...picture.querySelectorAll('.edgePaths path')].map((path) => {
      const length = path.getTotalLength(), matrix = path.getScreenCTM(), count = Math.max(2, Math.ceil(length / 4));
      return Array.from({ length: count + 1 }, (_, step) => {
        const at = path.getPointAtLength((length * step) / count).matrixTransform(matrix);
        return [at.x + scrollX, at.y + scrollY];
      });
    });
    const labels = [...picture.querySelectorAll('.edgeLabels > .edgeLabel')].map((label) => rect(label.querySelector('foreignObject div, text') ?? label));
    const letters = picture.querySelector('.edgeLabels .edgeLabel span, .edgeLabels text');
    return { width, height, boxes, paths, labels, label_pixels: letters ? parseFloat(getComputedStyle(letters).fontSize) : 16 };
  }, `flowchart TB\n${body}\n${arrows.join('\n')}\n`);
  const { paths, labels, ...rest } = drawn;
  if (paths.length !== scene.arrows.length || labels.length !== paths.length) throw new Error(`Mermaid has drawn ${paths.length} arrows and ${labels.length} labels of ${scene.arrows.length}`);
  return { ...rest, arrows: scene.arrows.map(({ id, from, to }, index) => ({ id, from, to, points: paths[index], label: labels[index] })) };
}

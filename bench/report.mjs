/** Results as Markdown and as a page of HTML that needs nothing but itself. */
import { quantile } from './quantile.mjs';
import { percent, short } from './table.mjs';

/** @typedef {import('./schema.mjs').Results} Results */
/** @typedef {import('./schema.mjs').CaseResult} CaseResult */
/** @typedef {import('./schema.mjs').Fact} Fact */

/** @param {Results} results @returns {CaseResult[]} those that were compared */
const casesOf = ({ cases }) => cases.filter((one) => 'ratio' in one);

/** @param {Results} results @returns {Fact[]} those that have no peers */
const factsOf = ({ cases }) => cases.filter((one) => !('ratio' in one));

const GUIDE =
  'Times are medians in ms. Ratio: the best peer’s time by ours; above 1, ours is faster (PyTorch, which computes on the ' +
  'processor without WebGPU, is no part of it). CPU ratio: the same by processor time, which other work on the machine ' +
  'distorts less. Ceiling: share of the adapter’s multiply-add (c) or copy (m) speed, measured in the same run; caches can ' +
  'lift it over 100 %.';

/** @param {Results} results */
const about = ({ adapter, platform, date, versions, ceilings }) => {
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const limits = `${short(ceilings.gflops)} GFLOP/s, ${short(ceilings.gbps)} GB/s, ${short(ceilings.kernelGbps)} by a kernel`;
  return `${adapter} (${limits}); ${platform}; ${list.join(', ')}; ${date.slice(0, 10)}`;
};

/** @param {Results} results @returns {string[]} */
const peersOf = (results) => [...new Set(casesOf(results).flatMap(({ peers }) => Object.keys(peers)))];

/** @param {Results} results @returns {[string, CaseResult[]][]} by suite */
const bySuite = (results) => {
  const suites = [...new Set(casesOf(results).map(({ suite }) => suite))];
  return suites.map((suite) => [suite, casesOf(results).filter((one) => one.suite === suite)]);
};

/** @param {CaseResult} one @param {readonly string[]} peers */
const cells = ({ name, ours, ratio, cpuRatio, ceilingShare, bound, peers: timed }, peers) => [
  name,
  short(ours.ms),
  ...peers.map((peer) => (timed[peer] ? short(timed[peer].ms) : '–')),
  ratio === null ? '–' : `${short(ratio)}×`,
  cpuRatio === null ? '–' : `${short(cpuRatio)}×`,
  short(ours.gflops),
  short(ours.gbps),
  `${percent(ceilingShare)} ${bound === 'compute' ? 'c' : 'm'}`,
];

/** @param {readonly string[]} peers */
const heads = (peers) => ['', 'ours', ...peers, 'ratio', 'CPU ratio', 'GFLOP/s', 'GB/s', 'ceiling'];

/** @param {readonly string[]} head @param {readonly (readonly string[])[]} rows */
function markdownTable(head, rows) {
  const line = (/** @type {readonly string[]} */ row) => `| ${row.join(' | ')} |`;
  const rule = line(head.map((_, i) => (i === 0 ? '---' : '--:')));
  return [line(head), rule, ...rows.map(line)].join('\n');
}

/** @param {Results} results */
export function markdownReport(results) {
  const peers = peersOf(results);
  const suites = bySuite(results).map(
    ([suite, cases]) =>
      `## ${suite}\n\n${markdownTable(
        heads(peers),
        cases.map((one) => cells(one, peers)),
      )}`,
  );
  const facts = factsOf(results).map(({ name, ours }) => {
    const rows = Object.entries(ours).map(([key, value]) => [key, short(value)]);
    return `## ${name}\n\n${markdownTable(['', 'ours'], rows)}`;
  });
  const left = reasons(results).map((reason) => `- ${reason}`);
  const absent = left.length > 0 ? [`## Not compared\n\n${left.join('\n')}`] : [];
  return `${['# Benchmark', about(results), GUIDE, ...suites, ...facts, ...absent].join('\n\n')}\n`;
}

/**
 * One row a group of cases, one column an adapter: the median of the ratios, the smallest, and the median share of the
 * ceiling.
 *
 * @param {readonly Results[]} all
 */
export function summaryTable(all) {
  if (all.length === 0) return 'Not measured yet.';
  const groups = [...new Set(all.flatMap((results) => casesOf(results).map(({ group }) => group)))];
  const head = [
    '',
    ...all.map(({ adapter, platform }) => `${nameOf(adapter)}, ${platform.split(/[ /]/)[0]}`),
  ];
  const rows = groups.map((group) => [
    group,
    ...all.map((results) => {
      const own = casesOf(results).filter((one) => one.group === group);
      const ratios = own.flatMap(({ ratio }) => (ratio === null ? [] : [ratio]));
      if (ratios.length === 0) return '–';
      const share = quantile(
        own.map(({ ceilingShare }) => ceilingShare),
        0.5,
      );
      const least = ratios.length > 1 ? ` (${brief(Math.min(...ratios))}×)` : '';
      return `${brief(quantile(ratios, 0.5))}×${least} · ${percent(share)}`;
    }),
  ]);
  return `${markdownTable(head, rows)}\n\n${all.map((results) => `- ${about(results)}`).join('\n')}`;
}

/** Two digits. @param {number} value */
const brief = (value) => (value >= 10 ? value.toFixed(0) : value.toPrecision(2));

/** How adapters are called, whatever they say of themselves. @param {string} adapter */
const nameOf = (adapter) =>
  /llvmpipe/i.test(adapter) ? 'lavapipe' : /swiftshader/i.test(adapter) ? 'SwiftShader' : adapter;

/** @param {Results} results @returns {string[]} equal reasons once */
function reasons(results) {
  /** @type {Map<string, string[]>} */
  const cases = new Map();
  for (const { name, left } of casesOf(results)) {
    for (const [peer, why] of Object.entries(left)) {
      const reason = `${peer}: ${why}`;
      cases.set(reason, [...(cases.get(reason) ?? []), name]);
    }
  }
  const whole = Object.entries(results.missing).map(([peer, why]) => `${peer}: ${why}`);
  return [...whole, ...[...cases].map(([reason, names]) => `${reason} (${names.join('; ')})`)];
}

/** @param {Results} results */
export function htmlReport(results) {
  const peers = peersOf(results);
  const suites = bySuite(results).map(([suite, cases]) => {
    const rows = cases.map((one) => {
      const [name, ...numbers] = cells(one, peers).map(escaped);
      return [name, ratioBar(one), shareBar(one), ...numbers];
    });
    const [, ...columns] = heads(peers).map(escaped);
    return `<h2>${escaped(suite)}</h2>\n${htmlTable(['', 'ratio', 'ceiling', ...columns], rows)}`;
  });
  const facts = factsOf(results).map(({ name, ours }) => {
    const rows = Object.entries(ours).map(([key, value]) => [escaped(key), short(value)]);
    return `<h2>${escaped(name)}</h2>\n${htmlTable(['', 'ours'], rows)}`;
  });
  const left = reasons(results).map((reason) => `<li>${escaped(reason)}</li>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Benchmark: ${escaped(results.adapter)}</title>
<style>${STYLE}</style>
<main>
<h1>Benchmark</h1>
<p>${escaped(about(results))}</p>
<p>${escaped(GUIDE)} Bars of ratios are logarithmic, from 1/4 to 16; the line is at 1, the dotted one at 2.</p>
${[...suites, ...facts].join('\n')}
${left.length > 0 ? `<h2>Not compared</h2>\n<ul>${left.join('')}</ul>` : ''}
</main>
</html>
`;
}

/** @param {readonly string[]} head @param {readonly (readonly string[])[]} rows cells as HTML */
const htmlTable = (head, rows) =>
  `<div class="wide"><table><thead><tr>${head.map((one) => `<th>${one}</th>`).join('')}</tr></thead>
<tbody>${rows.map((row) => `<tr>${row.map((one) => `<td>${one}</td>`).join('')}</tr>`).join('\n')}</tbody></table></div>`;

const [BAR_WIDTH, BAR_HEIGHT] = [150, 14];

/** A bar from 1 to the ratio. @param {CaseResult} one */
function ratioBar({ ratio }) {
  if (ratio === null) return '';
  const at = (/** @type {number} */ value) =>
    (Math.min(1, Math.max(0, (Math.log2(value) + 2) / 6)) * BAR_WIDTH).toFixed(1);
  const [one, end] = [Number(at(1)), Number(at(ratio))];
  const kind = ratio >= 2 ? 'good' : ratio >= 1 ? 'fair' : 'bad';
  const bar = `<rect class="${kind}" x="${Math.min(one, end)}" y="2" width="${Math.abs(end - one).toFixed(1)}" height="${BAR_HEIGHT - 4}"/>`;
  const line = (/** @type {number} */ value, /** @type {string} */ name) =>
    `<line class="${name}" x1="${at(value)}" x2="${at(value)}" y1="0" y2="${BAR_HEIGHT}"/>`;
  return svg(`ratio ${short(ratio)}`, `${bar}${line(1, 'one')}${line(2, 'two')}`);
}

/** @param {CaseResult} one */
function shareBar({ ceilingShare, bound }) {
  const width = (Math.min(1, ceilingShare) * BAR_WIDTH).toFixed(1);
  const frame = `<rect class="frame" x="0" y="2" width="${BAR_WIDTH}" height="${BAR_HEIGHT - 4}"/>`;
  const bar = `<rect class="${bound}" x="0" y="2" width="${width}" height="${BAR_HEIGHT - 4}"/>`;
  return svg(`${percent(ceilingShare)} of the ${bound} ceiling`, `${frame}${bar}`);
}

/** @param {string} label @param {string} content */
const svg = (label, content) =>
  `<svg width="${BAR_WIDTH}" height="${BAR_HEIGHT}" viewBox="0 0 ${BAR_WIDTH} ${BAR_HEIGHT}" role="img" aria-label="${escaped(label)}">${content}</svg>`;

/** @param {string} text */
const escaped = (text) =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);

const STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#222, #ddd); --faint: light-dark(#e4e4e4, #333); }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); }
main { max-width: 1200px; margin: 0 auto; padding: 24px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--faint); }
th:first-child, td:first-child { text-align: left; }
svg { display: block; }
.good { fill: #2a9d63; } .fair { fill: #d9a520; } .bad { fill: #c8473f; }
.compute { fill: #3f72c8; } .memory { fill: #8a5cc2; } .frame { fill: var(--faint); }
line { stroke: var(--ink); } .two { stroke-dasharray: 2 2; }
`;

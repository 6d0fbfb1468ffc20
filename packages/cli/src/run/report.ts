/** A run as one page of HTML that needs nothing but itself and the pictures beside it. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeResult } from '../files.js';
import type { RunFolder } from './folder.js';
import { type MetricsRow, readMetrics } from './metrics.js';

const width = 640;
const height = 220;
const edge = { left: 56, right: 10, top: 10, bottom: 26 };

/** Writes `report.html` into the run's folder. */
export function writeReport(run: RunFolder): string {
  const file = join(run.path, 'metrics.jsonl');
  const rows = existsSync(file) ? readMetrics(file) : [];
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter(
    (name) => name !== 'step' && name !== 'time',
  );
  const charts = names.map((name) => chart(name, rows));
  const grids = join(run.path, 'grids');
  const pictures = existsSync(grids)
    ? readdirSync(grids)
        .filter((name) => name.endsWith('.png'))
        .sort()
        .slice(-6)
    : [];
  const last = rows.at(-1);
  const path = join(run.path, 'report.html');
  writeResult(
    path,
    `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(run.kind)} run</title>
<style>
  :root { color-scheme: light dark; --line: #2563eb; --faint: #2563eb40; --axis: #8888; }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 1360px; margin: 2rem auto; padding: 0 1rem; }
  figure { display: inline-block; margin: 0 1rem 1rem 0; max-width: 100%; vertical-align: top; }
  figcaption { font-weight: 600; }
  svg { max-width: 100%; height: auto; } svg text { font-size: 11px; fill: currentColor; }
  img { max-width: 100%; image-rendering: pixelated; } pre { overflow: auto; }
</style>
<h1>${escape(run.kind)} run</h1>
<p>${last ? `${rows.length} rows, up to step ${last.step}, ${escape(new Date(last.time * 1000).toISOString())}` : 'No measurements yet.'}</p>
${charts.join('\n')}
${pictures
  .reverse()
  .map(
    (name) =>
      `<figure><figcaption>${escape(name)}</figcaption><img src="grids/${encodeURIComponent(name)}" alt="Pictures of ${escape(name)}"></figure>`,
  )
  .join('\n')}
<h2>Configuration</h2>
<pre>${escape(JSON.stringify(run.config, null, 2))}</pre>
</html>
`,
  );
  return path;
}

/** One measure over the steps: its values, and their moving average where there are many. */
function chart(name: string, rows: readonly MetricsRow[]): string {
  const points = rows.flatMap((row) => (name in row ? [[row.step, row[name]] as const] : []));
  const xs = points.map(([x]) => x);
  const sorted = points.map(([, y]) => y).sort((a, b) => a - b);
  // A few first steps far off would flatten all that follows.
  const [low, high] = [sorted[0], sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.995))]];
  const [left, right] = [xs[0], Math.max(xs.at(-1)!, xs[0] + 1)];
  const spread = high - low || Math.abs(high) || 1;
  const x = (value: number): number =>
    edge.left + ((value - left) / (right - left)) * (width - edge.left - edge.right);
  const y = (value: number): number =>
    height - edge.bottom - Math.min(1, (value - low) / spread) * (height - edge.top - edge.bottom);
  const line = (values: readonly (readonly [number, number])[], color: string): string =>
    `<polyline fill="none" stroke="${color}" stroke-width="1.5" points="${values.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(' ')}"/>`;
  const span = Math.ceil(points.length / 40);
  const smooth = points.map(([at], i) => {
    const near = points.slice(Math.max(0, i - span), i + span + 1);
    return [at, near.reduce((sum, [, value]) => sum + value, 0) / near.length] as const;
  });
  const labels = [0, 0.5, 1].map((part) => {
    const value = low + part * spread;
    return `<text x="${edge.left - 6}" y="${y(value) + 4}" text-anchor="end">${format(value)}</text><line x1="${edge.left}" x2="${width - edge.right}" y1="${y(value)}" y2="${y(value)}" stroke="var(--axis)" stroke-width=".5"/>`;
  });
  const steps = [left, (left + right) / 2, right].map(
    (step) => `<text x="${x(step)}" y="${height - 8}" text-anchor="middle">${Math.round(step)}</text>`,
  );
  const title = `${escape(name)}: ${format(points.at(-1)![1])}`;
  const curves =
    points.length > 60
      ? line(points, 'var(--faint)') + line(smooth, 'var(--line)')
      : line(points, 'var(--line)');
  return `<figure><figcaption>${title}</figcaption><svg viewBox="0 0 ${width} ${height}" width="${width}" role="img" aria-label="${title}">${labels.join('')}${steps.join('')}${curves}</svg></figure>`;
}

const format = (value: number): string =>
  Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 0.01)
    ? value.toExponential(2)
    : value.toFixed(3);

const escape = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);

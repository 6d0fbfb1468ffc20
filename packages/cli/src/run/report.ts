/** A run as one page of HTML that needs nothing but itself and the pictures beside it. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeResult } from '../files.js';
import { type Series, chart, escapeHtml, formatNumber, seriesColors } from './chart.js';
import type { RunFolder } from './folder.js';
import { type MetricsRow, readMetrics } from './metrics.js';

/** Earlier pictures that are shown beside the newest one. */
const earlierPictures = 5;

/** What the rows of a picture are, by its name. */
const pictureRows: Record<string, string> = {
  samples: 'From the top: originals, noised, predicted from these in one step, drawn from noise.',
  reconstructions: 'Pictures that it does not learn from, above their reconstructions.',
};

/** Writes `report.html` into the run's folder. */
export function writeReport(run: Pick<RunFolder, 'path' | 'kind' | 'config'>): string {
  const file = join(run.path, 'metrics.jsonl');
  const rows = existsSync(file) ? readMetrics(file) : [];
  const path = join(run.path, 'report.html');
  writeResult(path, page(run, rows, listPictures(join(run.path, 'grids'))));
  return path;
}

function page(
  { kind, config }: Pick<RunFolder, 'kind' | 'config'>,
  rows: readonly MetricsRow[],
  pictures: ReadonlyMap<string, string[]>,
): string {
  const title = escapeHtml(`${kind} training`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${style}</style>
<main>
<h1>${title}</h1>
${summary(rows, config)}
<section class="charts">
${groups(rows)
  .map(({ title: name, series }) => chart(name, series))
  .join('\n')}
</section>
${[...pictures].map(([name, files]) => gallery(name, files)).join('\n')}
<h2>Configuration</h2>
<section class="config">
${configTables(config)}
</section>
</main>
</html>
`;
}

/** The numbers that one looks for first. */
function summary(rows: readonly MetricsRow[], config: RunFolder['config']): string {
  const last = rows.at(-1);
  if (!last) return '<p>No measurements yet.</p>';
  const { steps } = (config.training ?? {}) as { steps?: number };
  const newest = (name: string): number | undefined => rows.findLast((row) => name in row)?.[name];
  const [loss, speed] = [newest('loss'), newest('images_per_second')];
  const tiles: [string, string][] = [
    ['step', formatNumber(last.step) + (steps ? ` of ${formatNumber(steps)}` : '')],
    ...(loss === undefined ? [] : [['loss', formatNumber(loss)] as [string, string]]),
    ...(speed === undefined ? [] : [['pictures a second', formatNumber(speed)] as [string, string]]),
    ['training time', duration(trainingSeconds(rows))],
    ['last measured', new Date(last.time * 1000).toISOString().slice(0, 16).replace('T', ' ') + ' UTC'],
  ];
  const list = tiles.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`);
  return `<dl class="summary">${list.join('')}</dl>`;
}

/** Between the first row and the last; pauses between two sessions, far longer than usual, do not count. */
function trainingSeconds(rows: readonly MetricsRow[]): number {
  const distances = rows.slice(1).map(({ time }, i) => Math.max(0, time - rows[i].time));
  const sorted = [...distances].sort((a, b) => a - b);
  const usual = sorted[Math.floor(sorted.length * 0.9)] ?? 0;
  return distances.reduce((sum, one) => sum + (one > 60 + 10 * usual ? usual : one), 0);
}

function duration(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (minutes === 0) return `${Math.round(seconds)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * Measurements that share a chart: `a/b` and `a/c`, and `loss_noise_0-25` and others whose names go on from that of
 * another one, `loss`.
 */
function groups(rows: readonly MetricsRow[]): { title: string; series: Series[] }[] {
  const points = new Map<string, [number, number][]>();
  for (const { step, time: _, ...values } of rows) {
    for (const [name, value] of Object.entries(values)) {
      if (!points.has(name)) points.set(name, []);
      if (Number.isFinite(value)) points.get(name)?.push([step, value]);
    }
  }
  const names = [...points.keys()].filter((name) => points.get(name)?.length);
  const titleOf = (name: string): string =>
    name.includes('/')
      ? name.slice(0, name.indexOf('/'))
      : (names.find((one) => name.startsWith(`${one}_`)) ?? name);
  const charts = new Map<string, Series[]>();
  for (const name of names) {
    const title = titleOf(name);
    charts.set(title, [...(charts.get(title) ?? []), { name, points: points.get(name) ?? [] }]);
  }
  return [...charts].map(([title, series]) => ({ title, series }));
}

/** Files by name, `samples` of `samples-00001000.png`, in the order of their steps. */
function listPictures(folder: string): Map<string, string[]> {
  const files = existsSync(folder) ? readdirSync(folder).sort() : [];
  const named = new Map<string, string[]>();
  for (const file of files) {
    const name = /^(.*)-\d+\.png$/.exec(file)?.[1];
    if (name !== undefined) named.set(name, [...(named.get(name) ?? []), file]);
  }
  return named;
}

/** The newest picture, and some earlier ones, small. */
function gallery(name: string, files: readonly string[]): string {
  const newest = files[files.length - 1];
  const before = files.slice(0, -1);
  const count = Math.min(earlierPictures, before.length);
  const earlier = Array.from({ length: count }, (_, i) => before[Math.floor((i * before.length) / count)]);
  const show = (file: string): string => {
    const step = formatNumber(Number(/-(\d+)\.png$/.exec(file)?.[1]));
    const url = `grids/${encodeURIComponent(file)}`;
    const alt = escapeHtml(`${name} at step ${step}`);
    return `<figure><a href="${url}"><img src="${url}" alt="${alt}" loading="lazy"></a><figcaption>step ${step}</figcaption></figure>`;
  };
  const small = earlier.length > 0 ? `<div class="earlier">${earlier.map(show).join('')}</div>` : '';
  const about = name in pictureRows ? `<p class="about">${pictureRows[name]}</p>\n` : '';
  return `<h2>${escapeHtml(name)}</h2>\n${about}<section class="pictures">${show(newest)}${small}</section>`;
}

/** A table a section; what is no section comes first. */
function configTables(config: RunFolder['config']): string {
  const isSection = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const entries = Object.entries(config);
  const single = entries.filter(([, value]) => !isSection(value));
  const tables = entries.flatMap(([name, value]) =>
    isSection(value) ? [table(name, Object.entries(value))] : [],
  );
  return [...(single.length > 0 ? [table('general', single)] : []), ...tables].join('\n');
}

function table(title: string, entries: readonly [string, unknown][]): string {
  const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
  const rows = entries.map(
    ([key, value]) => `<tr><th scope="row">${escapeHtml(key)}</th><td>${escapeHtml(text(value))}</td></tr>`,
  );
  return `<table><caption>${escapeHtml(title)}</caption>${rows.join('')}</table>`;
}

const style = `
:root { color-scheme: light dark; --page: #f6f6f4; --card: #fff; --ink: #1d1d1b; --quiet: #6b6a66; --line: #e3e2dd;
  --series-0: #2563c9; --series-1: #c2570c; --series-2: #0f8a63; --series-3: #8a4fcf; --series-4: #c43259; --series-5: #7a6a12; }
@media (prefers-color-scheme: dark) { :root { --page: #151514; --card: #1f1f1d; --ink: #ecebe6; --quiet: #9b9a94;
  --line: #353532; --series-0: #6ea3f7; --series-1: #f08c42; --series-2: #3fc299; --series-3: #b98af0; --series-4: #f0708f;
  --series-5: #cdb84a; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 24px; margin: 0 0 12px; } h2 { font-size: 18px; margin: 32px 0 12px; } figure, dl, dd, p { margin: 0; }
.summary { display: flex; flex-wrap: wrap; gap: 8px 36px; margin-bottom: 20px; }
.summary dt { color: var(--quiet); font-size: 13px; } .summary dd { font-size: 20px; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); gap: 14px; }
.chart { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
.chart figcaption { font-weight: 600; } small { color: var(--quiet); font-weight: 400; }
svg { display: block; width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--quiet); }
svg line { stroke: var(--line); } polyline { fill: none; stroke-linejoin: round; }
.raw { opacity: .28; stroke-width: 1; } .smooth { stroke-width: 2; }
.legend { display: flex; flex-wrap: wrap; gap: 0 16px; font-size: 13px; color: var(--quiet); }
.legend b { color: var(--ink); font-variant-numeric: tabular-nums; font-weight: 600; }
.legend i { display: inline-block; width: 12px; height: 3px; border-radius: 2px; margin: 0 6px 3px 0; }
.about, .pictures figcaption { color: var(--quiet); font-size: 13px; }
.pictures > figure img { max-width: 100%; min-width: min(100%, 560px); }
.pictures img { display: block; height: auto; image-rendering: pixelated; border: 1px solid var(--line); border-radius: 4px; }
.about { margin: -8px 0 10px; }
.earlier { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 12px; margin-top: 12px; }
.earlier img { width: 100%; image-rendering: auto; }
.config { columns: 360px; column-gap: 14px; }
table { break-inside: avoid; width: 100%; border-collapse: collapse; margin-bottom: 14px; font-size: 14px; background: var(--card);
  border: 1px solid var(--line); }
caption { text-align: left; font-weight: 600; padding: 4px 0; } th, td { padding: 3px 10px; border-top: 1px solid var(--line); }
th { text-align: left; font-weight: 400; color: var(--quiet); } td { text-align: right; overflow-wrap: anywhere; }
${Array.from({ length: seriesColors }, (_, i) => `.s${i} { stroke: var(--series-${i}); } circle.s${i} { fill: var(--series-${i}); } i.s${i} { background: var(--series-${i}); }`).join('\n')}
`;

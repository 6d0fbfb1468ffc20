/** Curves over training steps as SVG, in the colours that the report's style sheet names. */

/** Steps and values, in rising order of steps. */
type Points = readonly (readonly [number, number])[];

/** What one curve shows. */
export interface Series {
  name: string;
  points: Points;
}

const width = 560;
const height = 236;
const edge = { left: 58, right: 24, top: 12, bottom: 26 };
const plot = { width: width - edge.left - edge.right, height: height - edge.top - edge.bottom };
/** More points than this are averaged: they would lie on one pixel. */
const maxPoints = 500;
/** Colours that the style sheet has: `--series-0` and so on. */
export const seriesColors = 6;

/** A chart of curves that share a scale, which is logarithmic where most of their values span orders of magnitude. */
export function chart(title: string, series: readonly Series[]): string {
  const curves = series.map(({ points }) => average(points));
  const values = curves.flatMap((points) => points.map(([, value]) => value)).sort((a, b) => a - b);
  const steps = series.flatMap(({ points }) => points.map(([step]) => step));
  const x = axis(Math.min(...steps), Math.max(...steps), false);
  const y = axis(quantile(values, 0), quantile(values, 0.995), isWide(values));
  const at = ([step, value]: readonly [number, number]): string =>
    `${(edge.left + x.place(step) * plot.width).toFixed(1)},${yOf(y.place(value)).toFixed(1)}`;
  const draw = (points: Points, kind: string, color: number): string =>
    points.length > 1
      ? `<polyline class="${kind} s${color}" points="${points.map(at).join(' ')}"/>`
      : `<circle class="${kind} s${color}" r="2" cx="${at(points[0]).replace(',', '" cy="')}"/>`;
  const lines = curves.flatMap((points, i) =>
    pieces(points).map((piece) => {
      const color = i % seriesColors;
      if (piece.length <= 30) return draw(piece, 'smooth', color);
      return draw(piece, 'raw', color) + draw(smooth(piece), 'smooth', color);
    }),
  );
  const label = `${title}: ${series.map(({ name, points }) => `${name} ${formatNumber(points.at(-1)![1])}`).join(', ')}`;
  return `<figure class="chart"><figcaption>${escapeHtml(title)}${y.isLog ? ' <small>logarithmic</small>' : ''}</figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(label)}">${yGrid(y)}${xGrid(x)}${lines.join('')}</svg>
${legend(series)}</figure>`;
}

/** A curve's name and its last value. */
function legend(series: readonly Series[]): string {
  const entries = series.map(({ name, points }, i) => {
    const last = formatNumber(points.at(-1)![1]);
    return `<span><i class="s${i % seriesColors}"></i>${escapeHtml(name)} <b>${last}</b></span>`;
  });
  return `<p class="legend">${entries.join(' ')}</p>`;
}

interface Axis {
  isLog: boolean;
  /** Where a value lies, 0 to 1; values outside lie on the edge. */
  place: (value: number) => number;
  ticks: number[];
}

function axis(low: number, high: number, isLog: boolean): Axis {
  const warp = isLog ? Math.log10 : (value: number): number => value;
  const spread = high - low || Math.abs(high) || 1;
  const [from, to] = high > low ? [warp(low), warp(high)] : [low - spread / 2, high + spread / 2];
  const place = (value: number): number => Math.min(1, Math.max(0, (warp(value) - from) / (to - from)));
  const ticks = isLog ? logTicks(low, high) : linearTicks(from, to);
  return { isLog: isLog && high > low, place, ticks };
}

/** Round numbers within a range, three to five. */
function linearTicks(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const distance = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / distance - 1e-9);
  const count = Math.floor(high / distance + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => (first + i) * distance);
}

/** Powers of ten, and what lies between them where there are few. */
function logTicks(low: number, high: number): number[] {
  const decades = Math.log10(high / low);
  const factors = decades > 3 ? [1] : [1, 2, 5];
  const every = Math.ceil(decades / 6);
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    if (factors.length === 1 && power % every !== 0) continue;
    ticks.push(
      ...factors.map((factor) => factor * 10 ** power).filter((tick) => tick >= low && tick <= high),
    );
  }
  return ticks;
}

const yOf = (part: number): number => edge.top + (1 - part) * plot.height;

function yGrid({ ticks, place }: Axis): string {
  return ticks
    .map((tick) => {
      const y = yOf(place(tick)).toFixed(1);
      const line = `<line x1="${edge.left}" x2="${width - edge.right}" y1="${y}" y2="${y}"/>`;
      return `${line}<text x="${edge.left - 7}" y="${y}" dy="4" text-anchor="end">${formatNumber(tick)}</text>`;
    })
    .join('');
}

function xGrid({ ticks, place }: Axis): string {
  return ticks
    .map((tick) => {
      const x = (edge.left + place(tick) * plot.width).toFixed(1);
      return `<text x="${x}" y="${height - 7}" text-anchor="middle">${formatNumber(tick)}</text>`;
    })
    .join('');
}

const isWide = (sorted: readonly number[]): boolean =>
  sorted[0] > 0 && quantile(sorted, 0.9) / quantile(sorted, 0.1) >= 50;

const quantile = (sorted: readonly number[], part: number): number =>
  sorted[Math.round(part * (sorted.length - 1))];

/** Means of equally many neighbours, at most `maxPoints` of them. */
function average(points: Points): [number, number][] {
  const size = Math.ceil(points.length / maxPoints);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const own = points.slice(i * size, (i + 1) * size);
    return [own.at(-1)![0], own.reduce((sum, [, value]) => sum + value, 0) / own.length];
  });
}

/** A moving average over a thirtieth of the curve to either side. */
function smooth(points: Points): [number, number][] {
  const reach = Math.ceil(points.length / 30);
  return points.map(([step], i) => {
    // Near the ends less, and as many to the left as to the right: the ends of a steep curve would be bent otherwise.
    const own = Math.max(Math.ceil(reach / 4), Math.min(reach, i, points.length - 1 - i));
    const near = points.slice(Math.max(0, i - own), i + own + 1);
    return [step, near.reduce((sum, [, value]) => sum + value, 0) / near.length];
  });
}

/** A curve without its gaps: where steps lie four times as far apart as usual, nothing was measured. */
function pieces(points: Points): Points[] {
  const distances = points.slice(1).map(([step], i) => step - points[i][0]);
  const usual = quantile(
    [...distances].sort((a, b) => a - b),
    0.5,
  );
  const all: (readonly [number, number])[][] = [[]];
  points.forEach((point, i) => {
    if (i > 0 && distances[i - 1] > 4 * usual) all.push([]);
    all.at(-1)!.push(point);
  });
  return all;
}

/** At most four digits, and no more zeros than needed. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return value.toExponential(2).replace(/\.?0*e\+?/, 'e');
  return size >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(4)));
}

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type UPlot from 'uplot';

interface Line {
  label: string;
  /** One for each x; null where there is none. */
  values: readonly (number | null)[];
  /** Whose scale it is drawn to; the left one's by default. */
  axis?: 'left' | 'right';
}

interface LineChartProps {
  /** What the chart shows. */
  label: string;
  xLabel: string;
  x: readonly number[];
  /** One or two. */
  lines: readonly Line[];
  /** An x that is marked. */
  mark?: number;
  /** Whether the scales of the lines begin at 0. */
  fromZero?: boolean;
}

const HEIGHT = 220;
/** Between marks of the x axis, which counts. */
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
const STROKES = [
  { colour: '--accent', dash: [] },
  { colour: '--danger', dash: [6, 4] },
] as const;

interface ChartOptions extends Pick<LineChartProps, 'xLabel' | 'lines' | 'fromZero'> {
  markOf: () => number | undefined;
}

/** Lines over steps, with the same numbers as a table for those who cannot see them. */
export function LineChart({ label, xLabel, x, lines, mark, fromZero = false }: LineChartProps): JSX.Element {
  const [library, setLibrary] = useState<typeof UPlot | 'missing' | null>(null);
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<UPlot>(null);
  const marked = useRef(mark);
  const shape = JSON.stringify(lines.map(({ label: name, axis }) => [name, axis]));

  useEffect(() => {
    import('uplot').then(
      (module) => setLibrary(() => module.default),
      () => setLibrary('missing'), // offline; or it does not know the browser's language
    );
  }, []);
  useEffect(() => {
    if (!library || library === 'missing') return undefined;
    const host = place.current!;
    const made = new library(
      optionsOf(host, { xLabel, lines, fromZero, markOf: () => marked.current }),
      [[], ...lines.map(() => [])],
      host,
    );
    chart.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: host.clientWidth, height: HEIGHT }));
    resized.observe(host);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const repaint = (): void => made.redraw();
    scheme.addEventListener('change', repaint);
    return () => {
      scheme.removeEventListener('change', repaint);
      resized.disconnect();
      made.destroy();
    };
  }, [library, xLabel, shape, fromZero]);
  useEffect(() => {
    marked.current = mark;
    chart.current?.setData([[...x], ...lines.map(({ values }) => [...values])]);
  }, [library, x, lines, mark, xLabel, shape, fromZero]);

  return (
    <figure class="line-chart">
      <figcaption>{label}</figcaption>
      <ul class="legend" aria-hidden="true">
        {lines.map((line, i) => (
          <li key={line.label} class={i === 0 ? 'first' : 'second'}>
            {line.label}
          </li>
        ))}
      </ul>
      {library !== 'missing' && <div ref={place} class="plot" aria-hidden="true" />}
      <details open={library === 'missing'}>
        <summary>As a table</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">{xLabel}</th>
              {lines.map((line) => (
                <th key={line.label} scope="col">
                  {line.label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {x.map((at, i) => (
              <tr key={at} aria-current={at === mark ? 'step' : undefined}>
                <th scope="row">{at}</th>
                {lines.map(({ label: name, values }) => (
                  <td key={name}>{values[i] === null ? '–' : Number(values[i].toPrecision(3))}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}

function optionsOf(host: HTMLElement, { xLabel, lines, fromZero, markOf }: ChartOptions): UPlot.Options {
  const ink = (): string => colour(host, '--ink-soft');
  const grid = { stroke: () => colour(host, '--line'), width: 1 };
  const axis = { stroke: ink, grid, ticks: grid, font: '12px system-ui', labelFont: '12px system-ui' };
  const scale: UPlot.Scale = fromZero ? { range: (_, __, most) => [0, 1.05 * (most || 1)] } : {};
  const left = lines.filter((line) => line.axis !== 'right');
  const right = lines.filter((line) => line.axis === 'right');
  const names = (some: readonly Line[]): string => some.map((line) => line.label).join(', ');
  return {
    width: host.clientWidth,
    height: HEIGHT,
    scales: { x: { time: false }, left: scale, right: scale },
    legend: { show: false },
    cursor: { show: false },
    axes: [
      { ...axis, label: xLabel, labelSize: 18, size: 30, incrs: STEPS },
      { ...axis, scale: 'left', label: names(left), labelSize: 18, size: 44 },
      ...(right.length > 0
        ? [
            {
              ...axis,
              scale: 'right',
              side: 1 as const,
              label: names(right),
              labelSize: 18,
              size: 44,
              grid: { show: false },
            },
          ]
        : []),
    ],
    series: [
      {},
      ...lines.map((line, i): UPlot.Series => ({
        label: line.label,
        scale: line.axis ?? 'left',
        stroke: () => colour(host, STROKES[i].colour),
        width: 2,
        dash: [...STROKES[i].dash],
      })),
    ],
    hooks: {
      draw: [
        (chart) => {
          const mark = markOf();
          if (mark === undefined) return;
          const { ctx, bbox } = chart;
          const x = Math.round(chart.valToPos(mark, 'x', true));
          ctx.save();
          ctx.fillStyle = ink();
          ctx.fillRect(x - devicePixelRatio / 2, bbox.top, devicePixelRatio, bbox.height);
          ctx.restore();
        },
      ],
    },
  };
}

/** A colour of the theme, as a canvas takes it: custom properties are not resolved by themselves. */
function colour(host: HTMLElement, property: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${property})`;
  host.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
}

import type { Signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

interface TokenGridProps {
  /** What the grid shows. */
  label: string;
  /** The element that tells about the token at the cursor. */
  readout: string;
  /** Height and width in tokens. */
  grid: [number, number];
  colourOf: (index: number) => string;
  isOutlined?: (index: number) => boolean;
  /** The token that the pointer or the keyboard is at, row by row. */
  cursor: Signal<number | null>;
}

/** Pixels of the canvas's longer side, about. */
const SIDE = 768;

/** A field for every token. The pointer, or the arrow keys, choose one; what it is, the readout tells. */
export function TokenGrid(props: TokenGridProps): JSX.Element {
  const { label, readout, grid, cursor } = props;
  const [rows, columns] = grid;
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => paint(canvas.current!, props, cursor.value));
  const point = (event: PointerEvent): void => {
    const { width, height } = canvas.current!.getBoundingClientRect();
    const x = Math.min(columns - 1, Math.max(0, Math.floor((event.offsetX / width) * columns)));
    const y = Math.min(rows - 1, Math.max(0, Math.floor((event.offsetY / height) * rows)));
    cursor.value = y * columns + x;
  };
  const move = (event: KeyboardEvent): void => {
    const at = cursor.value ?? 0;
    const [x, y] = [at % columns, Math.floor(at / columns)];
    const to = {
      ArrowRight: [x + 1, y],
      ArrowLeft: [x - 1, y],
      ArrowDown: [x, y + 1],
      ArrowUp: [x, y - 1],
      Home: [0, y],
      End: [columns - 1, y],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    const [toX, toY] = to;
    if (toX >= 0 && toX < columns && toY >= 0 && toY < rows) cursor.value = toY * columns + toX;
  };
  return (
    <canvas
      ref={canvas}
      class="token-grid"
      role="application"
      tabIndex={0}
      aria-label={`${label}. The arrow keys go from token to token.`}
      aria-describedby={readout}
      onPointerMove={point}
      onPointerDown={point}
      onPointerLeave={() => {
        if (document.activeElement !== canvas.current) cursor.value = null;
      }}
      onFocus={() => (cursor.value ??= 0)}
      onBlur={() => (cursor.value = null)}
      onKeyDown={move}
    />
  );
}

function paint(
  canvas: HTMLCanvasElement,
  { grid: [rows, columns], colourOf, isOutlined }: TokenGridProps,
  cursor: number | null,
): void {
  const size = Math.max(6, Math.floor(SIDE / Math.max(rows, columns)));
  Object.assign(canvas, { width: columns * size, height: rows * size });
  const context = canvas.getContext('2d')!;
  const frame = (index: number, colour: string, line: number, inset: number): void => {
    const side = size - 2 * inset - line;
    const [x, y] = [index % columns, Math.floor(index / columns)].map((at) => at * size + inset + line / 2);
    Object.assign(context, { strokeStyle: colour, lineWidth: line });
    context.strokeRect(x, y, side, side);
  };
  for (let index = 0; index < rows * columns; index++) {
    context.fillStyle = colourOf(index);
    context.fillRect((index % columns) * size, Math.floor(index / columns) * size, size, size);
    // White in black, so that it can be seen on any colour.
    if (isOutlined?.(index)) {
      const line = Math.max(1, Math.round(size / 14));
      frame(index, '#000', line, 0);
      frame(index, '#fff', line, line);
    }
  }
  if (cursor === null) return;
  const line = Math.max(2, Math.round(size / 8));
  frame(cursor, '#000', line, -line);
  frame(cursor, '#fff', line, 0);
}

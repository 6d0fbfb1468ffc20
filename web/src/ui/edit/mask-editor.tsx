import { useComputed, useSignal } from '@preact/signals';
import type { JSX, TargetedKeyboardEvent, TargetedPointerEvent } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { info } from '../../state/engine.js';
import { brush, mask, maskTokens, paint, stroke } from '../../state/mask.js';
import { source } from '../../state/source.js';
import { type Point, pixelsOf } from '../../state/strokes.js';
import { Picture } from '../picture.js';
import { MaskTools } from './mask-tools.js';

/** The source, and over it what is drawn anew: painted by a pointer, or token by token with the keyboard. */
export function MaskEditor(): JSX.Element {
  const { image } = source.value!;
  const { factor } = info.value!.model;
  const [columns, rows] = [image.width / factor, image.height / factor];
  const surface = useRef<HTMLDivElement>(null);
  const hover = useSignal<Point | null>(null);
  const cursor = useSignal<Point>([Math.floor(columns / 2), Math.floor(rows / 2)]);
  const said = useSignal('');

  const pointOf = ({ clientX, clientY }: MouseEvent): Point => {
    const { left, top, width, height } = surface.current!.getBoundingClientRect();
    return [((clientX - left) / width) * image.width, ((clientY - top) / height) * image.height];
  };
  const begin = (event: TargetedPointerEvent<HTMLDivElement>): void => {
    const isEraserOfPen = (event.buttons & 32) !== 0;
    if (!event.isPrimary || (event.button !== 0 && !isEraserOfPen)) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    const { erase, size } = brush.value;
    const points = [pointOf(event)];
    stroke.value = { kind: 'stroke', erase: erase || isEraserOfPen, diameter: size * factor, points };
  };
  const go = (event: PointerEvent): void => {
    if (!event.isPrimary) return;
    hover.value = pointOf(event);
    if (stroke.value) stroke.value = { ...stroke.value, points: [...stroke.value.points, hover.value] };
  };
  const end = (event: PointerEvent): void => {
    if (!event.isPrimary || !stroke.value) return;
    paint(stroke.value);
    stroke.value = null;
  };
  const cancel = (): void => {
    stroke.value = null;
    hover.value = null;
  };

  const press = (event: TargetedKeyboardEvent<HTMLDivElement>): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = moves[event.key];
    if (!by && event.key !== ' ') return;
    event.preventDefault();
    const [column, row] = cursor.value.map((at, i) =>
      Math.min([columns, rows][i] - 1, Math.max(0, at + (by?.[i] ?? 0))),
    );
    cursor.value = [column, row];
    const isDrawn = (): boolean => maskTokens.value!.values[row * columns + column] === 1;
    // Space toggles; with Shift, arrows paint as they go.
    if (!by || event.shiftKey) {
      const erase = by ? brush.value.erase : isDrawn();
      paint({ kind: 'square', erase, corner: [column * factor, row * factor], side: factor });
    }
    said.value = `Column ${column + 1}, row ${row + 1}: ${isDrawn() ? 'drawn anew' : 'kept'}.`;
  };

  const square = ([x, y]: Point, side: number): Record<string, string> => ({
    left: `${(100 * x) / image.width}%`,
    top: `${(100 * y) / image.height}%`,
    width: `${(100 * side) / image.width}%`,
    height: `${(100 * side) / image.height}%`,
  });
  const count = maskTokens.value!.values.reduce((sum, value) => sum + value, 0);
  const ring = useComputed(() => hover.value && square(hover.value, brush.value.size * factor));

  return (
    <>
      <MaskTools />
      <div
        ref={surface}
        class="mask-editor"
        role="application"
        aria-label="Mask"
        aria-describedby="mask-hint"
        tabIndex={0}
        onPointerDown={begin}
        onPointerMove={go}
        onPointerUp={end}
        onPointerCancel={cancel}
        onPointerLeave={() => (hover.value = null)}
        onKeyDown={press}
      >
        <Picture image={image} label="Picture to begin with" />
        <MaskOverlay factor={factor} />
        <div class="token-lines" style={{ backgroundSize: `${100 / columns}% ${100 / rows}%` }} />
        <div
          class="token-cursor"
          style={square([cursor.value[0] * factor, cursor.value[1] * factor], factor)}
        />
        {ring.value && <div class={`brush-ring${brush.value.erase ? ' erases' : ''}`} style={ring.value} />}
      </div>
      <p id="mask-hint" class="note">
        Violet squares are drawn anew. With the keyboard: arrows move by a square, Space paints or clears it,
        Shift and arrows paint a line.
      </p>
      <p class="note" role="status">
        {said.value} {count} of {columns * rows} squares are drawn anew.
      </p>
    </>
  );
}

const moves: Record<string, Point | undefined> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Seen on any picture: few are violet. What is painted but covers too little of its token is paler. */
const TINT = [112, 48, 240];
const [DRAWN, TOO_LITTLE] = [150, 60];

function MaskOverlay({ factor }: { factor: number }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { width, height, values } = mask.value!;
  const drawn = useComputed(() => pixelsOf(maskTokens.value!, factor).values).value;
  useLayoutEffect(() => {
    const pixels = new ImageData(width, height);
    values.forEach((value, i) => {
      if (drawn[i] || value) pixels.data.set([...TINT, drawn[i] ? DRAWN : TOO_LITTLE], 4 * i);
    });
    canvas.current!.getContext('2d')!.putImageData(pixels, 0, 0);
  }, [values, drawn]);
  return <canvas ref={canvas} class="mask-overlay" width={width} height={height} aria-hidden="true" />;
}

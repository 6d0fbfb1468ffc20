import type { JSX, TargetedPointerEvent } from 'preact';
import { useRef } from 'preact/hooks';
import { type SideName, canvasSize, extend, sideNames, sides } from '../../state/sides.js';
import { source } from '../../state/source.js';
import { Picture } from '../picture.js';

/** The source where it will lie on the new canvas, whose sides can be dragged. */
export function CanvasPreview(): JSX.Element {
  const { image } = source.value!;
  const [width, height] = canvasSize.value;
  const { left, top } = sides.value;
  return (
    <div class="canvas-preview" style={{ aspectRatio: `${width} / ${height}`, '--shape': width / height }}>
      <div
        class="placed"
        style={{
          left: `${(100 * left) / width}%`,
          top: `${(100 * top) / height}%`,
          width: `${(100 * image.width) / width}%`,
          height: `${(100 * image.height) / height}%`,
        }}
      >
        <Picture image={image} label="Picture to begin with" />
      </div>
      {sideNames.map((name) => (
        <Handle key={name} name={name} />
      ))}
    </div>
  );
}

/** For pointers alone: keyboards and screen readers have the number fields. */
function Handle({ name }: { name: SideName }): JSX.Element {
  const drag = useRef<{ at: number; pixels: number; scale: number } | null>(null);
  const isAcross = name === 'left' || name === 'right';
  const outward = name === 'left' || name === 'top' ? -1 : 1;
  const positionOf = ({ clientX, clientY }: MouseEvent): number => outward * (isAcross ? clientX : clientY);
  const begin = (event: TargetedPointerEvent<HTMLDivElement>): void => {
    event.currentTarget.setPointerCapture(event.pointerId);
    const { width } = event.currentTarget.parentElement!.getBoundingClientRect();
    // The preview shrinks as the canvas grows; the drag keeps the scale that it began with.
    drag.current = {
      at: positionOf(event),
      pixels: sides.value[name],
      scale: canvasSize.value[0] / width,
    };
  };
  const go = (event: PointerEvent): void => {
    if (!drag.current) return;
    const { at, pixels, scale } = drag.current;
    extend({ [name]: pixels + (positionOf(event) - at) * scale });
  };
  const end = (): void => {
    drag.current = null;
  };
  return (
    <div
      class={`handle handle-${name}`}
      aria-hidden="true"
      onPointerDown={begin}
      onPointerMove={go}
      onPointerUp={end}
      onPointerCancel={end}
    />
  );
}

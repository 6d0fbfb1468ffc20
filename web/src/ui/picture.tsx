import type { RgbaImage } from 'paella';
import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** A picture, pixel by pixel; scaled by its style. */
export function Picture({ image, label }: { image: RgbaImage | undefined; label: string }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    if (!image) return;
    const { width, height, data } = image;
    Object.assign(canvas.current!, { width, height });
    canvas
      .current!.getContext('2d')!
      .putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0);
  }, [image]);
  return <canvas ref={canvas} class="picture" width={64} height={64} role="img" aria-label={label} />;
}

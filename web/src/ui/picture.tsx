import type { RgbaImage } from 'paella';
import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** A picture, pixel by pixel; scaled by its style. Without a label it is for eyes alone, inside of what is labelled. */
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
  const words = label ? { role: 'img' as const, 'aria-label': label } : { 'aria-hidden': true };
  return <canvas ref={canvas} class="picture" width={64} height={64} {...words} />;
}

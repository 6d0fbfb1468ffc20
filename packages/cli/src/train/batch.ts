import type { Device, Tensor } from '@paella/tensor';

/**
 * Pictures of one size as `[B,height,width,3]` in [0,1].
 *
 * @param size side in pixels, or width and height
 */
export function batchTensor(
  device: Device,
  pictures: readonly Uint8Array[],
  size: number | readonly [number, number],
): Tensor {
  const [width, height] = typeof size === 'number' ? [size, size] : size;
  const values = new Float32Array(pictures.length * width * height * 3);
  pictures.forEach((pixels, n) => {
    for (let i = 0; i < pixels.length; i++) values[n * pixels.length + i] = pixels[i] / 255;
  });
  return device.tensor(values, [pictures.length, height, width, 3]);
}

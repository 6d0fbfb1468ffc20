import type { Device, Tensor } from '@paella/tensor';

/** Pictures of one size as `[B,size,size,3]` in [0,1]. */
export function batchTensor(device: Device, pictures: readonly Uint8Array[], size: number): Tensor {
  const values = new Float32Array(pictures.length * size * size * 3);
  pictures.forEach((pixels, n) => {
    for (let i = 0; i < pixels.length; i++) values[n * pixels.length + i] = pixels[i] / 255;
  });
  return device.tensor(values, [pictures.length, size, size, 3]);
}

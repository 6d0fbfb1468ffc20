import { type Device, PaellaError, type Tensor, noGrad } from '@paella/tensor';
import type { VQModel } from './vqgan/vqmodel.js';

/** An 8-bit picture, RGBA, row by row. The browser's ImageData is one. */
export interface RgbaImage {
  width: number;
  height: number;
  data: Uint8ClampedArray;
}

/** Opaque pictures from `[B,H,W,3]`; values are clamped to [0,1] and rounded to the nearest of 256. */
export async function imagesFromTensor(pixels: Tensor): Promise<RgbaImage[]> {
  const [count, height, width] = pixels.shape;
  const values = await pixels.data();
  const area = width * height;
  return Array.from({ length: count }, (_, n) => {
    const data = new Uint8ClampedArray(area * 4);
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) data[i * 4 + c] = values[(n * area + i) * 3 + c] * 255;
      data[i * 4 + 3] = 255;
    }
    return { width, height, data };
  });
}

/** Pictures of tokens, u32 `[B,h,w]`. */
export async function decodeTokens(vqgan: VQModel, tokens: Tensor): Promise<RgbaImage[]> {
  const pixels = noGrad(() => vqgan.decodeIndices(tokens));
  const images = await imagesFromTensor(pixels);
  pixels.dispose();
  return images;
}

/**
 * `[B,H,W,3]` in [0,1] from pictures of one size; transparency shows white.
 *
 * @throws PaellaError `shape` if the sizes differ
 */
export function tensorFromImages(device: Device, images: readonly RgbaImage[]): Tensor {
  const { width, height } = images[0];
  if (images.some((image) => image.width !== width || image.height !== height)) {
    const sizes = images.map((image) => `${image.width}×${image.height}`).join(', ');
    throw new PaellaError('shape', `the pictures of a batch must have one size, got ${sizes}`);
  }
  const area = width * height;
  const values = new Float32Array(images.length * area * 3);
  images.forEach(({ data }, n) => {
    for (let i = 0; i < area; i++) {
      const alpha = data[i * 4 + 3] / 255;
      for (let c = 0; c < 3; c++) {
        values[(n * area + i) * 3 + c] = (data[i * 4 + c] / 255) * alpha + (1 - alpha);
      }
    }
  });
  return device.tensor(values, [images.length, height, width, 3]);
}

/** Peak signal-to-noise ratio of two pictures' colours, in dB; infinite if they are equal. */
export function psnr(a: RgbaImage, b: RgbaImage): number {
  if (a.width !== b.width || a.height !== b.height) {
    throw new PaellaError(
      'shape',
      `psnr compares pictures of one size, got ${a.width}×${a.height} and ${b.width}×${b.height}`,
    );
  }
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) if (i % 4 !== 3) sum += (a.data[i] - b.data[i]) ** 2;
  return 10 * Math.log10((255 ** 2 * 3 * a.width * a.height) / sum);
}

/**
 * Pictures side by side on white, as near to a square as their number allows.
 *
 * @param gap pixels between them and around them
 */
export function contactSheet(
  images: readonly RgbaImage[],
  { columns = Math.ceil(Math.sqrt(images.length)), gap = 4 } = {},
): RgbaImage {
  const cellWidth = Math.max(...images.map(({ width }) => width)) + gap;
  const cellHeight = Math.max(...images.map(({ height }) => height)) + gap;
  const width = columns * cellWidth + gap;
  const height = Math.ceil(images.length / columns) * cellHeight + gap;
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  images.forEach((image, n) => {
    const left = (n % columns) * cellWidth + gap;
    const top = Math.floor(n / columns) * cellHeight + gap;
    for (let y = 0; y < image.height; y++) {
      const row = image.data.subarray(y * image.width * 4, (y + 1) * image.width * 4);
      data.set(row, ((top + y) * width + left) * 4);
    }
  });
  return { width, height, data };
}

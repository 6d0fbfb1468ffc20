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

/** 11×11 Gaussian of σ 1.5, one dimension of it. */
const WINDOW = Array.from({ length: 11 }, (_, i) => Math.exp(-((i - 5) ** 2) / (2 * 1.5 ** 2)));

/**
 * Structural similarity of two pictures' colours (Wang et al. 2004): the mean over positions whose 11×11 Gaussian window
 * (σ 1.5) lies inside, and over the three channels; 1 if they are equal.
 *
 * @throws PaellaError `shape` if the sizes differ, or a side is below 11 pixels
 */
export function ssim(a: RgbaImage, b: RgbaImage): number {
  const { width, height } = a;
  if (width !== b.width || height !== b.height || width < 11 || height < 11) {
    const sizes = `${width}×${height} and ${b.width}×${b.height}`;
    throw new PaellaError('shape', `ssim: the pictures must have one size of at least 11×11, got ${sizes}`);
  }
  const total = WINDOW.reduce((sum, w) => sum + w, 0);
  const kernel = WINDOW.map((w) => w / total);
  const [c1, c2] = [(0.01 * 255) ** 2, (0.03 * 255) ** 2];
  let sum = 0;
  let count = 0;
  for (let channel = 0; channel < 3; channel++) {
    const plane = (image: RgbaImage): Float64Array =>
      Float64Array.from({ length: width * height }, (_, i) => image.data[4 * i + channel]);
    const [x, y] = [plane(a), plane(b)];
    const blurred = (values: Float64Array): Float64Array => blur(values, width, height, kernel);
    const [mx, my] = [blurred(x), blurred(y)];
    const [xx, yy, xy] = [
      blurred(x.map((v) => v * v)),
      blurred(y.map((v) => v * v)),
      blurred(x.map((v, i) => v * y[i])),
    ];
    for (let i = 0; i < mx.length; i++) {
      const [vx, vy, cov] = [xx[i] - mx[i] ** 2, yy[i] - my[i] ** 2, xy[i] - mx[i] * my[i]];
      const structure = (2 * cov + c2) / (vx + vy + c2);
      sum += ((2 * mx[i] * my[i] + c1) / (mx[i] ** 2 + my[i] ** 2 + c1)) * structure;
      count++;
    }
  }
  return sum / count;
}

/** Separable convolution without padding. */
function blur(values: Float64Array, width: number, height: number, kernel: readonly number[]): Float64Array {
  const [wide, high] = [width - kernel.length + 1, height - kernel.length + 1];
  const rows = new Float64Array(wide * height);
  for (let i = 0; i < rows.length; i++) {
    const from = Math.floor(i / wide) * width + (i % wide);
    for (let k = 0; k < kernel.length; k++) rows[i] += kernel[k] * values[from + k];
  }
  const out = new Float64Array(wide * high);
  for (let i = 0; i < out.length; i++) {
    for (let k = 0; k < kernel.length; k++) out[i] += kernel[k] * rows[i + k * wide];
  }
  return out;
}

import { type Device, PaellaError, type Tensor } from '@paella/tensor';
import type { RgbaImage } from '../image.js';
import { coverImage } from '../resize.js';

/** Mean and standard deviation of the colours that CLIP learned from. */
const MEAN = [0.48145466, 0.4578275, 0.40821073];
const STD = [0.26862954, 0.26130258, 0.27577711];

/** Paella learned from pictures of 256 pixels, which became 224 for CLIP. */
const REDUCTION = 256 / 224;

/**
 * Pictures as CLIP looks at them: their middle square, at most 8/7 of `size`, scaled to `size` by bicubic interpolation,
 * and normalised.
 *
 * The interpolation is that of PyTorch's `interpolate` without antialiasing, which the release was trained with; a larger
 * picture is therefore averaged first. Transparency shows white.
 *
 * @param size the CLIP's `image_size`
 * @returns `[B,size,size,3]`
 * @throws PaellaError `argument` without a picture, or for one without pixels
 */
export function preprocessClip(device: Device, images: readonly RgbaImage[], size = 224): Tensor {
  if (images.length === 0 || images.some(({ width, height }) => width < 1 || height < 1)) {
    const sizes = images.map(({ width, height }) => `${width}×${height}`).join(', ') || 'none';
    throw new PaellaError('argument', `CLIP needs pictures of at least one pixel, got ${sizes}`);
  }
  const values = new Float32Array(images.length * size * size * 3);
  images.forEach((image, n) => {
    const side = Math.min(image.width, image.height, Math.round(size * REDUCTION));
    const pixels = bicubic(coverImage(image, side, side), size);
    for (let i = 0; i < pixels.length; i++) {
      values[n * pixels.length + i] = (pixels[i] / 255 - MEAN[i % 3]) / STD[i % 3];
    }
  });
  return device.tensor(values, [images.length, size, size, 3]);
}

/** Keys' cubic convolution with a = −0.75 of an opaque square, RGB, row by row; what is outside repeats the edge. */
function bicubic({ width: side, data }: RgbaImage, size: number): Float64Array {
  const taps = Array.from({ length: size }, (_, i) => {
    const at = ((i + 0.5) * side) / size - 0.5;
    const first = Math.floor(at) - 1;
    return [0, 1, 2, 3].map((k) => ({
      from: Math.min(side - 1, Math.max(0, first + k)),
      weight: cubic(Math.abs(at - first - k)),
    }));
  });
  // Along the rows first: [side][size][RGB].
  const narrow = new Float64Array(side * size * 3);
  const out = new Float64Array(size * size * 3);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < size; x++) {
      for (const { from, weight } of taps[x]) {
        for (let c = 0; c < 3; c++)
          narrow[(y * size + x) * 3 + c] += weight * data[(y * side + from) * 4 + c];
      }
    }
  }
  for (let y = 0; y < size; y++) {
    for (const { from, weight } of taps[y]) {
      for (let i = 0; i < size * 3; i++) out[y * size * 3 + i] += weight * narrow[from * size * 3 + i];
    }
  }
  return out;
}

/** The weight of a sample at a distance below 2. */
function cubic(distance: number): number {
  const a = -0.75;
  const d = distance;
  return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
}

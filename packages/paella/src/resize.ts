import type { RgbaImage } from './image.js';

/**
 * Scales a picture so that it covers `width`×`height`, and cuts off what stands over on two opposite sides.
 * Shrinking averages (a triangle filter as wide as the step between two pixels), enlarging is bilinear;
 * transparency shows white.
 */
export function coverImage(image: RgbaImage, width: number, height: number): RgbaImage {
  const scale = Math.max(width / image.width, height / image.height);
  const columns = filterTaps(image.width, width, scale);
  const rows = filterTaps(image.height, height, scale);

  // Rows first: [image.height][width][RGB], then columns.
  const narrow = new Float32Array(image.height * width * 3);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < width; x++) {
      const { first, weights } = columns[x];
      for (let k = 0; k < weights.length; k++) {
        const at = (y * image.width + first + k) * 4;
        const alpha = image.data[at + 3] / 255;
        for (let c = 0; c < 3; c++) {
          narrow[(y * width + x) * 3 + c] += weights[k] * (image.data[at + c] * alpha + 255 * (1 - alpha));
        }
      }
    }
  }
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let y = 0; y < height; y++) {
    const { first, weights } = rows[y];
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++)
          sum += weights[k] * narrow[((first + k) * width + x) * 3 + c];
        data[(y * width + x) * 4 + c] = sum;
      }
    }
  }
  return { width, height, data };
}

interface Taps {
  /** The first pixel that takes part. */
  first: number;
  /** Of it and its successors; they add up to 1. */
  weights: number[];
}

/** Which pixels of a line of `length` make up each of `count` new ones around its middle. */
function filterTaps(length: number, count: number, scale: number): Taps[] {
  const start = (length - count / scale) / 2;
  const reach = Math.max(1, 1 / scale);
  return Array.from({ length: count }, (_, i) => {
    const centre = start + (i + 0.5) / scale;
    const first = Math.max(0, Math.floor(centre - reach));
    const end = Math.min(length, Math.ceil(centre + reach));
    const weights = Array.from({ length: end - first }, (_value, k) =>
      Math.max(0, 1 - Math.abs(first + k + 0.5 - centre) / reach),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

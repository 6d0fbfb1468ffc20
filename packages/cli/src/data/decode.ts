/** Picture files as the square arrays that models learn from. */
import { PaellaError } from '@paella/tensor';
import sharp from 'sharp';

export interface DecodeOptions {
  /** Side in pixels. */
  size: number;
  /** `cover` fills the square and crops, `contain` fits the picture in on white, `none` asks for that size. */
  resize: 'cover' | 'contain' | 'none';
  /** Which part `cover` keeps, from 0 (left, top) to 1. */
  position: { x: number; y: number };
  /** Mirrors left and right. */
  flip: boolean;
}

/**
 * Decodes and fits a picture; transparency shows white.
 *
 * @returns RGB, row by row, size·size·3 bytes
 * @throws if the file is damaged or no picture, or with `none` has another size
 */
export async function decodePicture(
  file: Uint8Array,
  { size, resize, position, flip }: DecodeOptions,
): Promise<Uint8Array> {
  // Straight RGBA first: sharp may keep an alpha channel whatever its options say, so white is put below it here.
  let image = sharp(file, { failOn: 'error' }).rotate().toColourspace('srgb').ensureAlpha();
  const { width: w, height: h, orientation = 1 } = await sharp(file).metadata();
  const [width, height] = orientation >= 5 ? [h, w] : [w, h];
  if (resize === 'none') {
    if (width !== size || height !== size) {
      throw new PaellaError('shape', `a picture of ${width}×${height} pixels, not ${size}×${size}`);
    }
  } else if (resize === 'contain') {
    const background = { r: 255, g: 255, b: 255, alpha: 0 };
    image = image.resize(size, size, { fit: 'contain', background });
  } else {
    const scale = size / Math.min(width, height);
    const [wide, high] = [
      Math.max(size, Math.round(width * scale)),
      Math.max(size, Math.round(height * scale)),
    ];
    const left = Math.min(wide - size, Math.floor(position.x * (wide - size + 1)));
    const top = Math.min(high - size, Math.floor(position.y * (high - size + 1)));
    image = image.resize(wide, high, { fit: 'fill' }).extract({ left, top, width: size, height: size });
  }
  const { data, info } = await image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  if (info.channels !== 4 || info.width !== size || info.height !== size) {
    throw new PaellaError('format', `decoding gave ${info.width}×${info.height}×${info.channels}`);
  }
  const out = new Uint8Array(size * size * 3);
  for (let i = 0; i < size * size; i++) {
    const x = flip ? size - 1 - (i % size) : i % size;
    const from = (i - (i % size) + x) * 4;
    const alpha = data[from + 3] / 255;
    for (let c = 0; c < 3; c++) out[3 * i + c] = Math.round(data[from + c] * alpha + 255 * (1 - alpha));
  }
  return out;
}

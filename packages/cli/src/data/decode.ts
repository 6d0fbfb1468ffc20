/** Picture files as the arrays of one size that models take. */
import { PaellaError } from '@paella/tensor';
import sharp from 'sharp';

export interface DecodeOptions {
  /** Side in pixels, or width and height. */
  size: number | readonly [number, number];
  /** `cover` fills the size and crops, `contain` fits the picture in on white, `none` asks for that size. */
  resize: 'cover' | 'contain' | 'none';
  /** Which part `cover` keeps, from 0 (left, top) to 1. */
  position: { x: number; y: number };
  /** Mirrors left and right. */
  flip: boolean;
}

/**
 * Decodes and fits a picture; transparency shows white.
 *
 * @returns RGB, row by row, 3 bytes a pixel
 * @throws if the file is damaged or no picture, or with `none` has another size
 */
export async function decodePicture(
  file: Uint8Array,
  { size, resize, position, flip }: DecodeOptions,
): Promise<Uint8Array> {
  const [wide, high] = typeof size === 'number' ? [size, size] : size;
  // Straight RGBA first: sharp may keep an alpha channel whatever its options say, so white is put below it here.
  let image = sharp(file, { failOn: 'error' }).rotate().toColourspace('srgb').ensureAlpha();
  const { width: w, height: h, orientation = 1 } = await sharp(file).metadata();
  const [width, height] = orientation >= 5 ? [h, w] : [w, h];
  if (resize === 'none') {
    if (width !== wide || height !== high) {
      throw new PaellaError('shape', `a picture of ${width}×${height} pixels, not ${wide}×${high}`);
    }
  } else if (resize === 'contain') {
    const background = { r: 255, g: 255, b: 255, alpha: 0 };
    image = image.resize(wide, high, { fit: 'contain', background });
  } else {
    const scale = Math.max(wide / width, high / height);
    const scaled = {
      width: Math.max(wide, Math.round(width * scale)),
      height: Math.max(high, Math.round(height * scale)),
    };
    const left = Math.min(scaled.width - wide, Math.floor(position.x * (scaled.width - wide + 1)));
    const top = Math.min(scaled.height - high, Math.floor(position.y * (scaled.height - high + 1)));
    image = image.resize({ ...scaled, fit: 'fill' }).extract({ left, top, width: wide, height: high });
  }
  const { data, info } = await image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  if (info.channels !== 4 || info.width !== wide || info.height !== high) {
    throw new PaellaError('format', `decoding gave ${info.width}×${info.height}×${info.channels}`);
  }
  const out = new Uint8Array(wide * high * 3);
  for (let i = 0; i < wide * high; i++) {
    const x = flip ? wide - 1 - (i % wide) : i % wide;
    const from = (i - (i % wide) + x) * 4;
    const alpha = data[from + 3] / 255;
    for (let c = 0; c < 3; c++) out[3 * i + c] = Math.round(data[from + c] * alpha + 255 * (1 - alpha));
  }
  return out;
}

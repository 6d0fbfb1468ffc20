/** Picture files, made and read in a worker of their own: compressing a large one takes longer than a frame. */
import { decode, encode } from 'fast-png';
import gifenc from 'gifenc';
import type { RgbaImage } from 'paella';
import { enlarge } from './enlarge.js';

const FRAME_MS = 120;
const LAST_FRAME_MS = 2000;

/**
 * A PNG.
 *
 * @param text by keyword, in Latin-1
 * @param scale how many pixels a pixel becomes on each side, 1 by default
 */
export function encodePng({ width, height, data }: RgbaImage, text: Record<string, string>, scale = 1): Blob {
  const isOpaque = data.every((value, i) => i % 4 !== 3 || value === 255);
  const channels = isOpaque ? 3 : 4;
  const values = enlarge(isOpaque ? data.filter((_, i) => i % 4 !== 3) : data, width, channels, scale);
  const png = encode({ width: width * scale, height: height * scale, data: values, channels, text });
  return new Blob([png as Uint8Array<ArrayBuffer>], { type: 'image/png' });
}

/**
 * The texts of a PNG, by keyword.
 *
 * @throws Error if the file is damaged, or no PNG
 */
export async function readPngText(file: Blob): Promise<Record<string, string>> {
  return decode(await file.arrayBuffer()).text;
}

/** A GIF that repeats forever and rests on its last picture. All must be of one size. */
export function encodeGif(frames: readonly RgbaImage[], scale = 1): Blob {
  const gif = gifenc.GIFEncoder();
  for (const [i, { width, height, data }] of frames.entries()) {
    const palette = gifenc.quantize(data, 256);
    const index = enlarge(gifenc.applyPalette(data, palette), width, 1, scale);
    const delay = i === frames.length - 1 ? LAST_FRAME_MS : FRAME_MS;
    gif.writeFrame(index, width * scale, height * scale, { palette, delay });
  }
  gif.finish();
  return new Blob([gif.bytes()], { type: 'image/gif' });
}

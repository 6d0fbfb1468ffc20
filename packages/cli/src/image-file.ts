/** Pictures in files: PNG and JPEG in both directions, GIF animations out. */
import { PaellaError } from '@paella/tensor';
import { type DecodedPng, convertIndexedToRgb, decode as decodePng, encode as encodePng } from 'fast-png';
import gifenc from 'gifenc';
import jpeg from 'jpeg-js';
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { RgbaImage } from 'paella';
import { reason } from './files.js';

const jpegQuality = 95;
const jpegLimits = { maxResolutionInMP: 200, maxMemoryUsageInMB: 2048 };

/**
 * Reads a PNG or JPEG; the content decides which, not the name.
 *
 * @throws PaellaError `not-found` if there is no such file, `format` if it is damaged or of another kind
 */
export function readImage(path: string): RgbaImage {
  const bytes = readBytes(path);
  try {
    if (startsWith(bytes, [0x89, 0x50, 0x4e, 0x47])) return fromPng(decodePng(bytes));
    if (startsWith(bytes, [0xff, 0xd8, 0xff])) {
      const { width, height, data } = jpeg.decode(bytes, { useTArray: true, ...jpegLimits });
      return { width, height, data: new Uint8ClampedArray(data) };
    }
  } catch (cause) {
    throw new PaellaError('format', `${path} is damaged: ${reason(cause)}`, { cause });
  }
  throw new PaellaError('format', `${path} is neither a PNG nor a JPEG picture`, {
    fix: 'Convert it to one of these first',
  });
}

/** The content of a picture file; its name decides which kind. */
export function encodeImage(path: string, { width, height, data }: RgbaImage): Uint8Array {
  if (extname(path).toLowerCase() !== '.png') return jpeg.encode({ width, height, data }, jpegQuality).data;
  const opaque = data.every((value, i) => i % 4 !== 3 || value === 255);
  return opaque
    ? encodePng({ width, height, data: data.filter((_, i) => i % 4 !== 3), channels: 3 })
    : encodePng({ width, height, data, channels: 4 });
}

const frameDelay = 120; // milliseconds
const lastFrameDelay = 2000;

/** A GIF that repeats forever and rests on its last picture. All must be of one size. */
export function encodeAnimation(frames: readonly RgbaImage[]): Uint8Array {
  const gif = gifenc.GIFEncoder();
  for (const [i, { width, height, data }] of frames.entries()) {
    const palette = gifenc.quantize(data, 256);
    const delay = i === frames.length - 1 ? lastFrameDelay : frameDelay;
    gif.writeFrame(gifenc.applyPalette(data, palette), width, height, { palette, delay });
  }
  gif.finish();
  return gif.bytes();
}

function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new PaellaError('not-found', `${path} cannot be read: ${reason(cause)}`, { cause });
  }
}

const startsWith = (bytes: Uint8Array, magic: readonly number[]): boolean =>
  magic.every((byte, i) => bytes[i] === byte);

/** 8-bit RGBA from any kind of PNG. */
function fromPng(png: DecodedPng): RgbaImage {
  const { width, height, depth, transparency } = png;
  let { data, channels } = png;
  if (png.palette || depth < 8) {
    // Grey of 1, 2 or 4 bits is packed like indices: it is read as a palette of greys.
    const palette = png.palette ?? greyPalette(depth);
    data = convertIndexedToRgb({ ...png, palette });
    channels = palette[0].length;
  }
  // The one colour that is transparent, in pictures without an alpha channel.
  const clear = !png.palette && depth >= 8 && transparency?.length === channels ? transparency : null;
  const shift = depth === 16 ? 8 : 0;
  const rgba = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const pixel = data.subarray(i * channels, (i + 1) * channels);
    const isGrey = channels < 3;
    for (let c = 0; c < 3; c++) rgba[i * 4 + c] = pixel[isGrey ? 0 : c] >>> shift;
    const hasAlpha = channels === 2 || channels === 4;
    if (hasAlpha) rgba[i * 4 + 3] = pixel[channels - 1] >>> shift;
    else rgba[i * 4 + 3] = clear?.every((value, c) => value === pixel[c]) ? 0 : 255;
  }
  return { width, height, data: rgba };
}

function greyPalette(depth: number): number[][] {
  const levels = 2 ** depth;
  return Array.from({ length: levels }, (_, i) => new Array<number>(3).fill((i * 255) / (levels - 1)));
}

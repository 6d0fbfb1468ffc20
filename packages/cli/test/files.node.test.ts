import { PaellaError } from '@paella/tensor';
import { encode as encodePng } from 'fast-png';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import type { RgbaImage } from 'paella';
import { afterAll, describe, expect, it } from 'vitest';
import { numberedPaths, writeResult } from '../src/files.js';
import { encodeImage, readImage } from '../src/image-file.js';
import { bytes, guidance, range, size, wholeNumber } from '../src/options.js';

const folder = mkdtempSync(join(tmpdir(), 'paella-files-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Reads bytes as a picture file. */
function read(content: Uint8Array): RgbaImage {
  const path = join(folder, 'picture');
  writeFileSync(path, content);
  return readImage(path);
}

const pixels = ({ data }: RgbaImage): number[][] =>
  Array.from({ length: data.length / 4 }, (_, i) => [...data.subarray(i * 4, i * 4 + 4)]);

const black = [0, 0, 0, 255];
const white = [255, 255, 255, 255];

describe('picture files', () => {
  it('keep every value as PNG, with transparency and without', () => {
    for (const alpha of [255, 7]) {
      const data = Uint8ClampedArray.from({ length: 6 * 4 }, (_, i) => (i % 4 === 3 ? alpha : i * 10));
      expect(read(encodeImage('a.png', { width: 3, height: 2, data }))).toEqual({
        width: 3,
        height: 2,
        data,
      });
    }
  });

  it('come back from JPEG nearly as they were', () => {
    const data = Uint8ClampedArray.from({ length: 64 * 4 }, (_, i) => [200, 60, 30, 255][i % 4]);
    const image = read(encodeImage('a.jpg', { width: 8, height: 8, data }));
    expect(image.width).toBe(8);
    image.data.forEach((value, i) => expect(Math.abs(value - data[i])).toBeLessThan(6));
  });

  it('are read from grey, 16-bit and partly transparent PNGs', () => {
    const grey = { width: 2, height: 1, channels: 1 };
    expect(pixels(read(encodePng({ ...grey, data: Uint8Array.of(0, 255) })))).toEqual([black, white]);
    const deep = encodePng({ ...grey, data: Uint16Array.of(0, 0xffff), depth: 16 });
    expect(pixels(read(deep))).toEqual([black, white]);
    const clear = encodePng({ ...grey, channels: 2, data: Uint8Array.of(255, 0, 255, 255) });
    expect(pixels(read(clear))).toEqual([[255, 255, 255, 0], white]);
  });

  it('are read from PNGs of few colours', () => {
    // One row of 3 pixels: grey of 1 and 2 bits, and a palette of 2 bits with a transparent entry.
    expect(pixels(read(tinyPng(3, 1, 0, [0b10100000])))).toEqual([white, black, white]);
    expect(pixels(read(tinyPng(3, 2, 0, [0b00110100])))).toEqual([black, white, [85, 85, 85, 255]]);
    const palette = [chunk('PLTE', [1, 2, 3, 4, 5, 6]), chunk('tRNS', [255, 0])];
    expect(pixels(read(tinyPng(3, 2, 3, [0b00010000], palette)))).toEqual([
      [1, 2, 3, 255],
      [4, 5, 6, 0],
      [1, 2, 3, 255],
    ]);
  });

  it('are refused when damaged or of another kind', () => {
    const png = encodeImage('a.png', { width: 8, height: 8, data: new Uint8ClampedArray(256) });
    expect(() => read(png.subarray(0, 40))).toThrow(/is damaged/);
    expect(() => read(new TextEncoder().encode('RIFF....WEBP'))).toThrow(/neither a PNG nor a JPEG/);
    expect(() => readImage(join(folder, 'nothing.png'))).toThrow(PaellaError);
  });
});

/** A PNG of one row, made by hand: fast-png writes 8 and 16 bits only. */
function tinyPng(
  width: number,
  depth: number,
  colorType: number,
  row: number[],
  extra: Buffer[] = [],
): Uint8Array {
  const header = [0, 0, 0, width, 0, 0, 0, 1, depth, colorType, 0, 0, 0];
  const rows = deflateSync(Uint8Array.of(0, ...row));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), ...extra, chunk('IDAT', rows), chunk('IEND', [])]);
}

function chunk(type: string, data: ArrayLike<number>): Buffer {
  const body = Buffer.concat([Buffer.from(type), Uint8Array.from(data)]);
  const frame = Buffer.alloc(body.length + 8);
  frame.writeUInt32BE(data.length, 0);
  body.copy(frame, 4);
  frame.writeUInt32BE(crc32(body), body.length + 4);
  return frame;
}

function crc32(body: Uint8Array): number {
  let crc = ~0;
  for (const byte of body) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

describe('writeResult', () => {
  it('replaces a file at once, and leaves nothing behind when it cannot', () => {
    const target = mkdtempSync(join(folder, 'results-'));
    writeResult(join(target, 'a.txt'), 'old');
    writeResult(join(target, 'a.txt'), 'new');
    expect(readFileSync(join(target, 'a.txt'), 'utf8')).toBe('new');
    expect(() => writeResult(join(target, 'none/a.txt'), 'x')).toThrow(/cannot be written/);
    expect(readdirSync(target)).toEqual(['a.txt']);
  });

  it('numbers several files', () => {
    expect(numberedPaths('out/a.b.png', 1)).toEqual(['out/a.b.png']);
    expect(numberedPaths('out/a.b.png', 2)).toEqual(['out/a.b-1.png', 'out/a.b-2.png']);
  });
});

describe('option values', () => {
  it('are read', () => {
    expect(range('0.7,0.3')).toEqual([0.7, 0.3]);
    expect(range('1')).toBe(1);
    expect(guidance('off')).toBe('off');
    expect(size('64x48')).toEqual([64, 48]);
    expect(bytes('2GB')).toBe(2e9);
    expect(bytes('1.5 MiB')).toBe(1.5 * 2 ** 20);
    expect(bytes('7')).toBe(7);
    expect(wholeNumber(0)('0')).toBe(0);
  });

  it('are refused when they could only be mistakes', () => {
    for (const text of ['', 'x', '1,2,3', '1;2', 'NaN']) expect(() => range(text), text).toThrow(/Expected/);
    for (const text of ['', '64', '0x64', '64x-1', '64x64x3'])
      expect(() => size(text), text).toThrow(/Expected/);
    for (const text of ['', '2TB', '-1', '0']) expect(() => bytes(text), text).toThrow(/Expected/);
    for (const text of ['', '-1', '1.5', '1e3', '9007199254740993']) {
      expect(() => wholeNumber(0)(text), text).toThrow(/Expected/);
    }
  });
});

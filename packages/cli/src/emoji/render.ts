/** Drawings as sprites: RGBA squares with a margin. */
import sharp, { type Sharp } from 'sharp';

/** Straight RGBA, row by row. */
export interface Sprite {
  size: number;
  data: Uint8Array;
}

/** An icon of an iconify collection, or the collection's defaults. */
export interface Icon {
  body: string;
  width?: number;
  height?: number;
  left?: number;
  top?: number;
  hidden?: boolean;
}

/** Share of the larger side that stays free around a drawing. */
const margin = 0.035;

/** The SVG of an icon with a margin, drawn at twice the size so that scaling smooths it. */
export function svgOf(icon: Icon, defaults: Partial<Icon>, size: number, color = '#222'): string {
  const width = icon.width ?? defaults.width ?? 16;
  const height = icon.height ?? defaults.height ?? 16;
  const side = Math.max(width, height) * (1 + 2 * margin);
  const x = (icon.left ?? defaults.left ?? 0) + width / 2 - side / 2;
  const y = (icon.top ?? defaults.top ?? 0) + height / 2 - side / 2;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
    `viewBox="${x} ${y} ${side} ${side}" width="${2 * size}" height="${2 * size}" color="${color}">${icon.body}</svg>`
  );
}

/** @throws if librsvg refuses the drawing */
export async function renderSvg(svg: string, size: number): Promise<Sprite> {
  return toSprite(sharp(Buffer.from(svg)).resize(size, size, { kernel: 'lanczos3' }), size);
}

/** A raster picture, with the margin that drawings have. */
export async function renderFile(path: string, size: number): Promise<Sprite> {
  const free = Math.round((size * margin) / (1 + 2 * margin));
  const background = { r: 0, g: 0, b: 0, alpha: 0 };
  const inner = await sharp(path)
    .ensureAlpha()
    .resize(size - 2 * free, size - 2 * free, { fit: 'contain', background, kernel: 'lanczos3' })
    .png()
    .toBuffer();
  const sides = { top: free, bottom: free, left: free, right: free };
  return toSprite(sharp(inner).extend({ ...sides, background }), size);
}

/** The sprite in another size. */
export async function scale({ data, size }: Sprite, to: number): Promise<Sprite> {
  const raw = { width: size, height: size, channels: 4 as const };
  return toSprite(sharp(data, { raw }).resize(to, to, { kernel: 'lanczos3' }), to);
}

async function toSprite(image: Sharp, size: number): Promise<Sprite> {
  const { data, info } = await image.ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  if (info.channels !== 4 || info.width !== size)
    throw new Error(`drawing gave ${info.width}×${info.channels}`);
  return { size, data };
}

/** RGB of one colour, or of a gradient from top to bottom. */
export function backdrop(size: number, top: readonly number[], bottom = top): Uint8Array {
  const out = new Uint8Array(size * size * 3);
  for (let i = 0; i < out.length; i++) {
    const y = Math.floor(i / (3 * size)) / (size - 1);
    out[i] = Math.round(top[i % 3] + (bottom[i % 3] - top[i % 3]) * y);
  }
  return out;
}

/** Puts a sprite on an RGB picture, its left upper corner at (x, y); what lies outside is cut off. */
export function draw(
  onto: Uint8Array,
  side: number,
  { data, size }: Sprite,
  x: number,
  y: number,
): Uint8Array {
  for (let row = Math.max(0, -y); row < Math.min(size, side - y); row++) {
    for (let column = Math.max(0, -x); column < Math.min(size, side - x); column++) {
      const from = (row * size + column) * 4;
      const to = ((y + row) * side + x + column) * 3;
      const alpha = data[from + 3] / 255;
      for (let c = 0; c < 3; c++)
        onto[to + c] = Math.round(data[from + c] * alpha + onto[to + c] * (1 - alpha));
    }
  }
  return onto;
}

/** Whether next to nothing is drawn on the white picture. */
export function isBlank(pixels: Uint8Array): boolean {
  let dark = 0;
  for (let i = 0; i < pixels.length; i += 3)
    if (Math.min(pixels[i], pixels[i + 1], pixels[i + 2]) < 250) dark++;
  return dark < pixels.length / 3 / 70;
}

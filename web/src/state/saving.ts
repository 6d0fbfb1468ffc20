import type { RgbaImage } from 'paella';
import { encodeGif, encodePng } from '../files/client.js';
import type { Kept } from './gallery.js';
import { metadataOf } from './metadata.js';
import { titleOf } from './recipe.js';
import { imageOf } from './stage.js';

/** Animations of small pictures are enlarged: many programs show them blurred, or as small as they are. */
const ANIMATION_SIDE = 256;

/** Saves the file of a picture. */
export function savePicture(kept: Kept): void {
  save(kept.png, `${nameOf(kept)}.png`);
}

/** Saves a picture with every pixel as a square. */
export async function saveEnlarged(kept: Kept, scale: number): Promise<void> {
  const png = await encodePng(await imageOf(kept.png), metadataOf(kept, kept.date), scale);
  save(png, `${nameOf(kept)}-x${scale}.png`);
}

/** Saves pictures as an animation under a picture's name. */
export async function saveAnimation(kept: Kept, frames: readonly RgbaImage[]): Promise<void> {
  const scale = Math.max(1, Math.round(ANIMATION_SIDE / Math.max(kept.width, kept.height)));
  save(await encodeGif(frames, scale), `${nameOf(kept)}.gif`);
}

/** Saves a file under a name. */
export function save(file: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The download reads the URL after this returns; nothing tells when.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** "a-red-apple-7-0": what all systems take in a file name. */
function nameOf(kept: Kept): string {
  const words = titleOf(kept)
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}]+/gu, '-')
    .replace(/^-|-$/g, '');
  return `${words.slice(0, 60) || 'picture'}-${kept.settings.seed}-${kept.index}`;
}

import * as Comlink from 'comlink';
import type { RgbaImage } from 'paella';
import type * as Files from './files.js';

let files: Comlink.Remote<typeof Files> | undefined;

/** Starts with the first file: nothing of it is fetched before. */
function worker(): Comlink.Remote<typeof Files> {
  files ??= Comlink.wrap<typeof Files>(
    new Worker(new URL('worker.ts', import.meta.url), { type: 'module', name: 'files' }),
  );
  return files;
}

/** See {@link Files.encodePng}. */
export const encodePng = (image: RgbaImage, text: Record<string, string>, scale?: number): Promise<Blob> =>
  worker().encodePng(image, text, scale);

/** See {@link Files.readPngText}. */
export const readPngText = (file: Blob): Promise<Record<string, string>> => worker().readPngText(file);

/** See {@link Files.encodeGif}. */
export const encodeGif = (frames: readonly RgbaImage[], scale?: number): Promise<Blob> =>
  worker().encodeGif(frames, scale);

import type { RgbaImage } from 'paella';
import { WorkerConnection } from '../worker-connection.js';
import type * as Files from './files.js';

/** Starts with the first file: nothing of it is fetched before. */
const connection = new WorkerConnection<typeof Files>(
  'the worker that reads and writes files',
  () => new Worker(new URL('worker.ts', import.meta.url), { type: 'module', name: 'files' }),
);

/** See {@link Files.encodePng}. */
export const encodePng = (image: RgbaImage, text: Record<string, string>, scale?: number): Promise<Blob> =>
  connection.ask((files) => files.encodePng(image, text, scale));

/** See {@link Files.readPngText}. */
export const readPngText = (file: Blob): Promise<Record<string, string>> =>
  connection.ask((files) => files.readPngText(file));

/** See {@link Files.encodeGif}. */
export const encodeGif = (frames: readonly RgbaImage[], scale?: number): Promise<Blob> =>
  connection.ask((files) => files.encodeGif(frames, scale));

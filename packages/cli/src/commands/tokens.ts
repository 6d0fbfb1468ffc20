import { type Tensor, noGrad, scope } from '@paella/tensor';
import { type RgbaImage, type VQModel, decodeTokens, psnr, tensorFromImages } from 'paella';
import { fitImage, loadCodec } from '../codec.js';
import type { Context, ModelOptions } from '../context.js';
import { checkResultPath, imageExtensions, numberedPaths, writeResult } from '../files.js';
import { encodeImage, readImage } from '../image-file.js';
import { type TokenGrids, readTokens, tokenExtensions, tokenRows, writeTokens } from '../tokens-file.js';

export interface DecodeOptions extends ModelOptions {
  out: string;
}

export interface EncodeOptions extends ModelOptions {
  out?: string;
  size?: [number, number];
}

/** `paella encode`: the tokens of a picture. */
export async function encode(context: Context, file: string, options: EncodeOptions): Promise<void> {
  const { out } = context;
  if (options.out) checkResultPath(options.out, tokenExtensions);
  const image = readImage(file);
  const device = await context.openDevice();
  const vqgan = await loadCodec(context, options, device);
  const indices = tokenize(vqgan, fitImage(image, vqgan, options.size));
  const grid = await readGrid(indices);
  context.checkInterrupt();
  if (options.out) await writeTokens(options.out, grid);
  const [, height, width] = grid.shape;
  const tokens = tokenRows(grid);
  out.note(`${width}×${height} tokens of ${vqgan.config.codebook_size}`);
  out.result(
    { tokens, width, height, file: options.out ?? null },
    options.out ? [options.out] : tokens.map((row) => row.join(' ')),
  );
}

/** `paella decode`: the pictures of a token file. */
export async function decode(context: Context, file: string, options: DecodeOptions): Promise<void> {
  checkResultPath(options.out, imageExtensions);
  const device = await context.openDevice();
  const vqgan = await loadCodec(context, options, device);
  const { shape, tokens } = await readTokens(file, vqgan.config.codebook_size);
  const images = await decodeTokens(vqgan, device.tensor(tokens, shape));
  context.checkInterrupt();
  const paths = numberedPaths(options.out, images.length);
  paths.forEach((name, i) => writeResult(name, encodeImage(name, images[i])));
  const { width, height } = images[0];
  context.out.note(`${width}×${height}`);
  context.out.result({ images: paths, width, height }, paths);
}

/** `paella reconstruct`: a picture through tokens and back, and how much of it is left. */
export async function reconstruct(context: Context, file: string, options: EncodeOptions): Promise<void> {
  if (options.out) checkResultPath(options.out, imageExtensions);
  const original = readImage(file);
  const device = await context.openDevice();
  const vqgan = await loadCodec(context, options, device);
  const image = fitImage(original, vqgan, options.size);
  const indices = tokenize(vqgan, image);
  const [result] = await decodeTokens(vqgan, indices);
  const tokens = tokenRows(await readGrid(indices));
  context.checkInterrupt();
  if (options.out) writeResult(options.out, encodeImage(options.out, result));
  const decibels = psnr(image, result);
  const { width, height } = result;
  context.out.result({ psnr: decibels, tokens, width, height, image: options.out ?? null }, [
    `PSNR ${decibels.toFixed(2)} dB`,
    ...(options.out ? [options.out] : []),
  ]);
}

/** u32 `[1,H,W]` */
function tokenize(vqgan: VQModel, image: RgbaImage): Tensor {
  return noGrad(() => scope(() => vqgan.encodeIndices(tensorFromImages(vqgan.device, [image]))));
}

async function readGrid(indices: Tensor): Promise<TokenGrids> {
  const [count, height, width] = indices.shape;
  return { shape: [count, height, width], tokens: (await indices.data()) as Uint32Array };
}

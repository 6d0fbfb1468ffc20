/** The VQGAN alone, which is all that pictures and tokens need. */
import { type Device, PaellaError, type StateDict, loadStateDict } from '@paella/tensor';
import { statSync } from 'node:fs';
import { type RgbaImage, VQModel, coverImage, identifyModel, openModelFolder } from 'paella';
import type { VQModelConfig } from 'paella';
import type { Context, ModelOptions } from './context.js';

/**
 * Loads the VQGAN of a model folder, or one from a checkpoint file, whose configuration its shapes tell.
 *
 * @param options.model `'default'`, a model folder or its URL, or a checkpoint
 */
export async function loadCodec(
  context: Context,
  { model, dtype }: ModelOptions,
  device: Device,
): Promise<VQModel> {
  const { config, state } = isFile(model) ? await fromCheckpoint(model) : await fromFolder(model);
  const vqgan = new VQModel(config, { device }).to({ dtype });
  await vqgan.loadStateDict(state, {
    onProgress(done, total) {
      context.checkInterrupt();
      context.out.progress('loading vqgan', done, total);
    },
  });
  await state.close?.();
  return vqgan;
}

interface Stored {
  config: VQModelConfig;
  state: StateDict;
}

async function fromFolder(model: string): Promise<Stored> {
  const folder = await openModelFolder(model);
  const { config, weights } = folder.card.vqgan;
  return { config, state: await folder.checkpoint(weights) };
}

async function fromCheckpoint(path: string): Promise<Stored> {
  const state = await loadStateDict(path);
  const { kind, config } = identifyModel(state.keys().map((name) => ({ name, ...state.info(name) })));
  if (kind !== 'vqgan') {
    const fix = `'paella inspect ${path}' shows what it holds`;
    throw new PaellaError('format', `${path} holds no VQGAN`, { fix });
  }
  const { scale_factor: _, ...sizes } = config;
  const unknown = Object.entries(sizes).find(([, value]) => value === null);
  if (unknown) throw new PaellaError('format', `${path} is incomplete: nothing tells its ${unknown[0]}`);
  // Tokens don't depend on the scale factor, which shapes don't tell.
  const known = { ...(sizes as Omit<VQModelConfig, 'scale_factor'>), scale_factor: 1 };
  return { config: known, state };
}

/** Not a folder, `default` or an address. */
const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

/**
 * The picture as the codec takes it, on white: scaled and cropped to `size`, or in its own size if that divides.
 *
 * @throws PaellaError `argument` for a size that does not divide into tokens
 */
export function fitImage(image: RgbaImage, vqgan: VQModel, size?: readonly [number, number]): RgbaImage {
  const { factor } = vqgan;
  const [width, height] = size ?? [image.width, image.height];
  if (width % factor !== 0 || height % factor !== 0) {
    const nearest = (side: number): number => Math.max(1, Math.round(side / factor)) * factor;
    throw new PaellaError(
      'argument',
      `${width}×${height} pixels do not divide into tokens of ${factor}×${factor}`,
      {
        fix: `Pass --size ${nearest(width)}x${nearest(height)} to scale and crop the picture`,
      },
    );
  }
  return coverImage(image, width, height);
}

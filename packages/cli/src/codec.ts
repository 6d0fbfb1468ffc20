/** The VQGAN alone, which is all that pictures and tokens need. */
import { type Device, PaellaError, loadStateDict } from '@paella/tensor';
import { statSync } from 'node:fs';
import {
  type ModelPart,
  type RgbaImage,
  VQModel,
  completeConfig,
  coverImage,
  identifyModel,
  openModel,
} from 'paella';
import type { VQModelConfig } from 'paella';
import type { Context, ModelOptions } from './context.js';

/** A VQGAN of which nothing is loaded yet. */
export interface Codec {
  part: Pick<ModelPart<VQModel>, 'build' | 'state'>;
  /** Width and height of the pictures of its model, in pixels; null where only the VQGAN is known. */
  imageSize: readonly [number, number] | null;
}

/**
 * Opens the VQGAN of a model folder, or one from a checkpoint file, whose configuration its shapes tell.
 *
 * @param model `'default'`, a model folder or its URL, or a checkpoint
 * @throws PaellaError `not-found`, or `format` if there is no VQGAN
 */
export async function openCodec(model: string): Promise<Codec> {
  if (!isFile(model)) {
    const { imageSize, vqgan } = await openModel(model);
    return { imageSize, part: vqgan };
  }
  const config = await readConfig(model);
  return {
    imageSize: null,
    part: { build: (device) => new VQModel(config, { device }), state: () => loadStateDict(model) },
  };
}

/** Opens a VQGAN as {@link openCodec} does, and loads it. */
export async function loadCodec(
  context: Context,
  { model, dtype }: ModelOptions,
  device: Device,
  codec?: Codec,
): Promise<VQModel> {
  const { part } = codec ?? (await openCodec(model));
  const vqgan = part.build(device).to({ dtype });
  const state = await part.state();
  await vqgan.loadStateDict(state, {
    onProgress(done, total) {
      context.checkInterrupt();
      context.out.progress('loading vqgan', done, total);
    },
  });
  await state.close?.();
  return vqgan;
}

async function readConfig(path: string): Promise<VQModelConfig> {
  const state = await loadStateDict(path);
  const { kind, config } = identifyModel(state.keys().map((name) => ({ name, ...state.info(name) })));
  await state.close?.();
  if (kind !== 'vqgan') {
    const fix = `'paella inspect ${path}' shows what it holds`;
    throw new PaellaError('format', `${path} holds no VQGAN`, { fix });
  }
  // Tokens don't depend on the scale factor, which shapes don't tell.
  return completeConfig<VQModelConfig>(path, { ...config, scale_factor: 1 });
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

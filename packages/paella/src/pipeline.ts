import {
  type Device,
  PaellaError,
  Rng,
  type StateDict,
  type Tensor,
  nn,
  noGrad,
  ops,
  scope,
} from '@paella/tensor';
import { type RgbaImage, decodeTokens, tensorFromImages } from './image.js';
import { type ModelCard, type ModelFolder, openModelFolder } from './model-folder.js';
import { type Range, type SampleOptions, sample } from './sample.js';
import { ByT5Encoder } from './text/byt5.js';
import { WordVectorEncoder } from './text/word-vectors.js';
import type { ConditionInputs } from './unet/condition.js';
import { Paella } from './unet/paella.js';
import { VQModel } from './vqgan/vqmodel.js';

/** Turns a prompt into what the U-Net attends to, `[1,L,byt5_embd]`. */
export interface TextEncoder {
  encode(text: string): Tensor;
  dispose(): void;
}

export interface LoadProgress {
  part: 'unet' | 'vqgan' | 'text_encoder';
  /** Tensors loaded, of how many. */
  done: number;
  total: number;
}

export interface LoadOptions {
  device: Device;
  /** How the large matrices are stored on the device; arithmetic is f32 in any case. */
  dtype?: 'f32' | 'f16';
  onProgress?: (progress: LoadProgress) => void;
}

export interface GenerateOptions {
  /** Equal seeds give equal pictures; a random one by default, found in the result. */
  seed?: number;
  /** Pictures, drawn in one batch. */
  count?: number;
  /** Width and height in pixels; multiples of `pipeline.sizeMultiple`. */
  size?: readonly [number, number];
  /** What the pictures should not show. */
  negative?: string;
  steps?: number;
  renoiseSteps?: number;
  temperature?: Range;
  cfg?: Range | null;
  conditionalSteps?: number;
  mode?: SampleOptions['mode'];
  signal?: AbortSignal;
  onStep?: (info: GenerationStep) => void | Promise<void>;
}

export interface GenerationStep {
  /** From 0. */
  step: number;
  steps: number;
  /** u32 `[count,H,W]`; valid until the next step. */
  tokens: Tensor;
  /** Decodes the pictures as they are now. */
  preview: () => Promise<RgbaImage[]>;
}

export interface Generation {
  images: RgbaImage[];
  /** Row by row, picture by picture. */
  tokens: Uint32Array;
  /** Pictures, and their height and width in tokens. */
  shape: [number, number, number];
  seed: number;
}

/** Text to image: a U-Net, a VQGAN and a text encoder that belong together. */
export class Pipeline {
  readonly device: Device;
  readonly card: ModelCard;
  readonly unet: Paella;
  readonly vqgan: VQModel;
  readonly textEncoder: TextEncoder;

  private constructor(
    device: Device,
    card: ModelCard,
    unet: Paella,
    vqgan: VQModel,
    textEncoder: TextEncoder,
  ) {
    this.device = device;
    this.card = card;
    this.unet = unet;
    this.vqgan = vqgan;
    this.textEncoder = textEncoder;
  }

  /**
   * Loads a model folder. Its weights require no gradients; to train one of the models, call `requiresGrad_()` on it.
   *
   * @param model `'default'` for the embedded model, a path (in Node), or a URL
   * @throws PaellaError `not-found`, `format` or `state-dict` if the folder is not a complete model
   */
  static async load(
    model: string | URL,
    { device, dtype = 'f32', onProgress }: LoadOptions,
  ): Promise<Pipeline> {
    const folder = await openModelFolder(model);
    const { card } = folder;
    await rehearse(card, device, dtype);
    const unet = new Paella(card.unet.config, { device }).to({ dtype });
    const vqgan = new VQModel(card.vqgan.config, { device }).to({ dtype });
    const load = async (part: LoadProgress['part'], into: Paella | VQModel | ByT5Encoder, file: string) => {
      const state = await folder.checkpoint(file);
      await into.loadStateDict(state, { onProgress: (done, total) => onProgress?.({ part, done, total }) });
      await state.close?.();
    };
    await load('unet', unet, card.unet.weights);
    await load('vqgan', vqgan, card.vqgan.weights);
    const textEncoder = await loadTextEncoder(folder, device, dtype, load);
    for (const part of [unet, vqgan, textEncoder]) if (part instanceof nn.Module) part.requiresGrad_(false);
    return new Pipeline(device, card, unet, vqgan, textEncoder);
  }

  /** Widths and heights must be multiples of this many pixels. */
  get sizeMultiple(): number {
    return this.unet.tokenMultiple * this.vqgan.factor;
  }

  /**
   * Draws pictures for a prompt.
   *
   * @throws PaellaError `argument` for options out of range, `aborted` if the signal fires between steps
   */
  async generate(prompt: string, options: GenerateOptions = {}): Promise<Generation> {
    const { seed = randomSeed(), count = 1, negative = '', onStep } = options;
    const [height, width] = this.#tokenGrid(options.size ?? this.card.image_size);
    const shape: Generation['shape'] = [count, height, width];
    const { sampler } = this.card;
    if (!Number.isInteger(count) || count < 1) {
      throw new PaellaError('argument', `count must be a whole number ≥ 1, got ${count}`);
    }
    const steps = options.steps ?? sampler.steps;
    return scope(async () => {
      const tokens = await sample(this.unet, this.condition(prompt, count), {
        uncond: this.condition(negative, count, { asWritten: true }),
        shape,
        rng: new Rng(seed),
        steps,
        renoiseSteps: options.renoiseSteps ?? Math.min(sampler.renoise_steps, steps - 1),
        temperature: options.temperature ?? sampler.temperature,
        cfg: options.cfg === undefined ? sampler.cfg : options.cfg,
        conditionalSteps: options.conditionalSteps,
        mode: options.mode,
        signal: options.signal,
        onStep: onStep && ((info) => onStep({ ...info, preview: () => this.decode(info.tokens) })),
      });
      const images = await this.decode(tokens);
      return { images, tokens: (await tokens.data()) as Uint32Array, shape, seed };
    });
  }

  /**
   * The U-Net's input for a prompt, repeated for every picture of a batch.
   *
   * @param options.asWritten leave out the style that the model's captions always had
   */
  condition(prompt: string, count = 1, { asWritten = false } = {}): ConditionInputs {
    const text = asWritten ? prompt : this.caption(prompt);
    return scope(() => {
      const one = this.textEncoder.encode(text);
      return { byt5: count === 1 ? one : ops.cat(new Array<Tensor>(count).fill(one), 0) };
    });
  }

  /** The prompt in the form of the captions the model learned from. */
  caption(prompt: string): string {
    const { suffix, styles } = this.card.captions;
    const lower = prompt.toLowerCase();
    return prompt.trim() === '' || styles.some((style) => lower.includes(style)) ? prompt : prompt + suffix;
  }

  /** Pictures from tokens, u32 `[B,H,W]`. */
  decode(tokens: Tensor): Promise<RgbaImage[]> {
    return decodeTokens(this.vqgan, tokens);
  }

  /** Tokens of pictures of one size, u32 `[B,H,W]`; the caller disposes of them. */
  encode(images: readonly RgbaImage[]): Tensor {
    return noGrad(() => scope(() => this.vqgan.encodeIndices(tensorFromImages(this.device, images))));
  }

  /** Frees the weights. */
  dispose(): void {
    this.unet.dispose();
    this.vqgan.dispose();
    this.textEncoder.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #tokenGrid([width, height]: readonly [number, number]): [number, number] {
    const multiple = this.sizeMultiple;
    if ([width, height].some((side) => !Number.isInteger(side) || side < multiple || side % multiple !== 0)) {
      throw new PaellaError('argument', `a size of ${width}x${height} does not divide into tokens`, {
        fix: `Use a width and a height that are multiples of ${multiple}.`,
      });
    }
    return [height / this.vqgan.factor, width / this.vqgan.factor];
  }
}

/** Starts to compile what drawing a picture takes, so that it is ready when the weights are. */
async function rehearse(card: ModelCard, device: Device, dtype: 'f32' | 'f16'): Promise<void> {
  const rehearsal = device.rehearsal();
  const unet = new Paella(card.unet.config, { device: rehearsal }).to({ dtype });
  const vqgan = new VQModel(card.vqgan.config, { device: rehearsal }).to({ dtype });
  const [width, height] = card.image_size.map((side) => side / vqgan.factor);
  const condition = (length: number): ConditionInputs => ({
    byt5: rehearsal.empty([1, length, card.unet.config.byt5_embd]),
  });
  await scope(async () => {
    // The shorter of the two is padded and masked, as the empty prompt is.
    const inputs = { uncond: condition(1), shape: [1, height, width], rng: new Rng(0) } as const;
    const { temperature, cfg } = card.sampler;
    const options = { ...inputs, temperature, cfg, steps: 2, renoiseSteps: 1 };
    const tokens = await sample(unet, condition(4), options);
    noGrad(() => vqgan.decodeIndices(tokens));
  });
}

async function loadTextEncoder(
  folder: ModelFolder,
  device: Device,
  dtype: 'f32' | 'f16',
  load: (part: 'text_encoder', into: ByT5Encoder, file: string) => Promise<void>,
): Promise<TextEncoder> {
  const spec = folder.card.text_encoder;
  if (spec.kind === 'byt5') {
    const encoder = new ByT5Encoder(spec.config, { device }).to({ dtype });
    await load('text_encoder', encoder, spec.weights);
    return encoder;
  }
  const [vocabulary, state]: [string, StateDict] = await Promise.all([
    folder.text(spec.vocabulary),
    folder.checkpoint(spec.weights),
  ]);
  const encoder = await WordVectorEncoder.load(device, vocabulary, state, { maxWords: spec.max_words });
  await state.close?.();
  return encoder;
}

const randomSeed = (): number => Math.floor(Math.random() * 2 ** 32);

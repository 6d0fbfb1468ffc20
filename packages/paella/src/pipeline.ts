import { type Device, PaellaError, Rng, Tensor, type nn, noGrad, scope } from '@paella/tensor';
import { picturesPerPass } from './batch.js';
import { Conditioner, type ConditionRequest, conditionTokens } from './conditioner.js';
import type { Folder } from './folder.js';
import { type RgbaImage, decodeTokens, tensorFromImages } from './image.js';
import type { Model, ModelPart } from './model.js';
import { openModel } from './open-model.js';
import { type Preset, type SamplerSettings, type SettingsOptions, chooseSettings } from './presets.js';
import type { Conditions } from './predict.js';
import { type ResidentOptions, Residents } from './residents.js';
import { type SampleOptions, sample } from './sample.js';
import type { ConditionInputs } from './unet/condition.js';
import type { Paella } from './unet/paella.js';
import type { VQModel } from './vqgan/vqmodel.js';

export interface LoadOptions extends ResidentOptions {
  device: Device;
}

/** How pictures are drawn: what all applications share. */
export interface DrawOptions extends Pick<
  SampleOptions,
  | 'steps'
  | 'renoiseSteps'
  | 'renoise'
  | 'temperature'
  | 'cfg'
  | 'conditionalSteps'
  | 'mode'
  | 'typical'
  | 'tStart'
  | 'init'
  | 'mask'
  | 'regions'
  | 'signal'
  | 'entropy'
> {
  /** Where the settings come from that are not given here; the model's own by default. */
  preset?: Preset;
  /** Equal seeds give equal pictures; a random one by default, found in the result. */
  seed?: number;
  /** The number of the first picture: picture i of a seed is the same in whatever batch it is drawn. */
  first?: number;
  /** Give every picture the randomness of the first. */
  sameNoise?: boolean;
  /** Width and height in pixels; multiples of `pipeline.sizeMultiple`. */
  size?: readonly [number, number];
  /** Pictures a pass; by default as many as the adapter takes, within 1 GiB. */
  batchSize?: number;
  onStep?: (info: GenerationStep) => void | Promise<void>;
}

export interface GenerateOptions extends Omit<DrawOptions, 'init' | 'mask' | 'regions' | 'tStart'> {
  /** Pictures of each prompt. */
  count?: number;
  /** What the pictures should not show. */
  negative?: string;
}

export interface GenerationStep {
  /** From 0, of the pass. */
  step: number;
  steps: number;
  /** Pictures that do not fit into one pass are drawn in several, one after the other. */
  pass: number;
  passes: number;
  /** The number of the pass's first picture. */
  first: number;
  /** u32 `[pictures of the pass,H,W]`; valid until the next step. */
  tokens: Tensor;
  /** In nats, f32 of the same shape, if asked for; valid until the next step. */
  entropy?: Tensor;
  /** Decodes the pictures of the pass as they are now. */
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

/** Text to image: a U-Net, a VQGAN and encoders that belong together. */
export class Pipeline {
  readonly device: Device;
  readonly model: Model;
  readonly #residents: Residents;
  readonly #conditioner: Conditioner;

  private constructor(device: Device, model: Model, residents: Residents) {
    this.device = device;
    this.model = model;
    this.#residents = residents;
    this.#conditioner = new Conditioner(model, residents, device);
  }

  /**
   * Loads a model folder. Its weights require no gradients; to train one of the models, call `requiresGrad_()` on it.
   *
   * @param where `'default'` for the embedded model, a path (in Node), a URL, or a folder, which holds a `model.json`
   *   or released files under their own names; or a model that is open already
   * @param options.lowMemory keep one large network on the device at a time; networks load when they are needed, so
   *   that this returns at once
   * @throws PaellaError `not-found`, `format` or `state-dict` if the folder is not a complete model
   */
  static async load(
    where: string | URL | Folder | Model,
    { device, ...options }: LoadOptions,
  ): Promise<Pipeline> {
    const isModel = typeof where === 'object' && 'unet' in where;
    const model = isModel ? where : await openModel(where);
    const pipeline = new Pipeline(device, model, new Residents(device, options));
    if (!options.lowMemory) {
      await rehearse(model, device, options.dtype ?? 'f32');
      await pipeline.#residents.get(model.unet);
      await pipeline.#residents.get(model.vqgan);
      await pipeline.#conditioner.load();
    }
    return pipeline;
  }

  /** @throws PaellaError `not-found` while it is not loaded, in low memory */
  get unet(): Paella {
    return this.#loaded(this.model.unet);
  }

  /** @throws PaellaError `not-found` while it is not loaded, in low memory */
  get vqgan(): VQModel {
    return this.#loaded(this.model.vqgan);
  }

  /** Widths and heights must be multiples of this many pixels. */
  get sizeMultiple(): number {
    const { tokenMultiple, factor } = this.model;
    return tokenMultiple * factor;
  }

  /**
   * Draws pictures for a prompt, or for several: `count` of the first, then of the second, and so on.
   *
   * @throws PaellaError `argument` for options out of range, `aborted` if the signal fires between steps
   */
  async generate(prompt: string | readonly string[], options: GenerateOptions = {}): Promise<Generation> {
    const { count = 1, ...rest } = options;
    if (!Number.isInteger(count) || count < 1) {
      throw new PaellaError('argument', `count must be a whole number ≥ 1, got ${count}`);
    }
    const requests = [prompt]
      .flat()
      .flatMap((one) => Array.from({ length: count }, (): ConditionRequest => ({ prompt: one })));
    const seed = options.seed ?? randomSeed();
    return scope(async () => {
      const away = this.negativeRequest(options);
      const [uncond, ...conditions] = await this.conditions([away, ...requests], { ...rest, seed });
      return this.draw(conditions, uncond, { ...rest, seed });
    });
  }

  /**
   * The U-Net's inputs for prompts and pictures, each of batch 1. They belong to the caller's scope.
   *
   * @param options those that a prior draws by: give `draw` the same
   * @throws PaellaError `unsupported` for images if {@link takesImages} is false
   */
  conditions(
    requests: readonly ConditionRequest[],
    options: Pick<DrawOptions, 'seed' | 'first' | 'preset' | 'signal'> = {},
  ): Promise<ConditionInputs[]> {
    const { seed = randomSeed(), first, signal } = options;
    return this.#conditioner.encode(requests, { seed, first, signal, settings: this.settings(options) });
  }

  /** What pictures move away from: the user's words, else those of the settings, else the empty prompt. */
  negativeRequest(options: Pick<GenerateOptions, 'negative' | 'preset'>): ConditionRequest {
    const prompt = options.negative ?? this.settings(options).negative ?? '';
    return { prompt, asWritten: true, usePrior: false };
  }

  /** Whether {@link conditions} may be asked for what takes after images. */
  get takesImages(): boolean {
    return this.#conditioner.takesImages;
  }

  /**
   * Draws a picture for each condition: what all applications share. Pictures that do not fit into one pass are drawn
   * in several, with equal results.
   *
   * @param uncond what to move away from, for all pictures, or one for each
   * @throws PaellaError `argument` for options out of range, `aborted` if the signal fires between steps
   */
  async draw(
    conditions: readonly ConditionInputs[],
    uncond: Conditions,
    options: DrawOptions = {},
  ): Promise<Generation> {
    const { seed = randomSeed(), first = 0, sameNoise, init, mask, regions, onStep } = options;
    const settings = this.settings(options);
    const [height, width] = this.tokenGrid(options.size ?? this.model.imageSize);
    const unet = await this.#residents.get(this.model.unet);
    const vqgan = await this.#residents.get(this.model.vqgan);
    const count = conditions.length;
    const cfg = options.cfg === undefined ? settings.cfg : options.cfg;
    const perPass =
      options.batchSize ??
      (await picturesPerPass(unet, vqgan, [height, width], {
        count,
        guided: cfg !== null,
        conditionTokens: Math.max(...conditions.map((one) => conditionTokens(one, this.model))),
        regions: regions?.length,
        budgetBytes: PASS_BYTES,
      }));
    const passes = Math.ceil(count / perPass);
    const images: RgbaImage[] = [];
    const tokens = new Uint32Array(count * height * width);
    for (let pass = 0; pass < passes; pass++) {
      const start = pass * perPass;
      const some = conditions.slice(start, start + perPass);
      const ofPass = <T extends Conditions | Tensor>(all: T): T => partOf(all, start, some.length);
      await scope(async () => {
        const drawn = await sample(unet, some, {
          ...options,
          ...settings,
          uncond: ofPass(uncond),
          shape: [some.length, height, width],
          rng: new Rng(seed).forEntries(sameNoise ? first : first + start, sameNoise ? 0 : 1),
          cfg,
          init: init && ofPass(init),
          mask: mask && ofPass(mask),
          regions: regions?.map(({ cond, weight }) => ({
            cond: ofPass(cond),
            weight: weight.rank === 3 ? ofPass(weight) : weight,
          })),
          onStep:
            onStep &&
            (({ step, tokens: now, entropy }) =>
              onStep({
                step,
                steps: settings.steps,
                pass,
                passes,
                first: first + start,
                tokens: now,
                entropy,
                preview: () => decodeTokens(vqgan, now),
              })),
        });
        images.push(...(await decodeTokens(vqgan, drawn)));
        tokens.set(await drawn.data(), start * height * width);
      });
    }
    return { images, tokens, shape: [count, height, width], seed };
  }

  /** The settings that options leave open, from their preset or the model; `renoiseSteps` fits the steps. */
  settings(options: SettingsOptions = {}): SamplerSettings {
    return chooseSettings(this.model.sampler, options);
  }

  /** The prompt in the form of the captions the model learned from. */
  caption(prompt: string): string {
    return this.#conditioner.caption(prompt);
  }

  /** Pictures from tokens, u32 `[B,H,W]`. */
  async decode(tokens: Tensor): Promise<RgbaImage[]> {
    return decodeTokens(await this.#residents.get(this.model.vqgan), tokens);
  }

  /** Tokens of pictures of one size, u32 `[B,H,W]`; the caller disposes of them. */
  async encode(images: readonly RgbaImage[]): Promise<Tensor> {
    const vqgan = await this.#residents.get(this.model.vqgan);
    return noGrad(() => scope(() => vqgan.encodeIndices(tensorFromImages(this.device, images))));
  }

  /**
   * Height and width in tokens of a picture.
   *
   * @throws PaellaError `argument` for a size that is no multiple of {@link sizeMultiple}
   */
  tokenGrid([width, height]: readonly [number, number]): [number, number] {
    const multiple = this.sizeMultiple;
    if ([width, height].some((side) => !Number.isInteger(side) || side < multiple || side % multiple !== 0)) {
      throw new PaellaError('argument', `a size of ${width}x${height} does not divide into tokens`, {
        fix: `Use a width and a height that are multiples of ${multiple}.`,
      });
    }
    return [height / this.model.factor, width / this.model.factor];
  }

  /** Frees the weights. */
  dispose(): void {
    this.#residents.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #loaded<T extends nn.Module>(part: ModelPart<T>): T {
    const module = this.#residents.loaded(part);
    if (!module) {
      throw new PaellaError('not-found', `the ${part.name} is not loaded now`, {
        fix: 'Load the pipeline without lowMemory, or use generate, draw, encode and decode.',
      });
    }
    return module;
  }
}

/**
 * What a pass may take on the device besides weights. WebGPU does not tell how much there is; larger passes are hardly
 * faster.
 */
const PASS_BYTES = 2 ** 30;

/** The pictures of one pass; what stands for all of them stays. */
function partOf<T extends Conditions | Tensor>(all: T, start: number, count: number): T;
function partOf(all: Conditions | Tensor, start: number, count: number): Conditions | Tensor {
  if (all instanceof Tensor) return all.shape[0] === 1 ? all : all.slice(0, start, start + count);
  return 'byt5' in all ? all : all.slice(start, start + count);
}

/** Starts to compile what drawing a picture takes, so that it is ready when the weights are. */
async function rehearse(model: Model, device: Device, dtype: 'f32' | 'f16'): Promise<void> {
  const rehearsal = device.rehearsal();
  const unet = model.unet.build(rehearsal).to({ dtype });
  const vqgan = model.vqgan.build(rehearsal).to({ dtype });
  const [width, height] = model.imageSize.map((side) => side / vqgan.factor);
  const condition = (length: number): ConditionInputs => ({
    byt5: rehearsal.empty([1, length, unet.config.byt5_embd]),
  });
  await scope(async () => {
    // The shorter of the two is padded and masked, as the empty prompt is.
    const inputs = { uncond: condition(1), shape: [1, height, width], rng: new Rng(0).forEntries() } as const;
    const { temperature, cfg } = model.sampler;
    const options = { ...inputs, temperature, cfg, steps: 2, renoiseSteps: 1 };
    const tokens = await sample(unet, condition(4), options);
    noGrad(() => vqgan.decodeIndices(tokens));
  });
}

/** A seed for those who name none. */
export const randomSeed = (): number => Math.floor(Math.random() * 2 ** 32);

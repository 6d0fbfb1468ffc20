import { type Device, PaellaError, Rng, type Tensor, noGrad, ops, scope } from '@paella/tensor';
import type { ClipTokenizer } from './clip/tokenizer.js';
import type { RgbaImage } from './image.js';
import type { Model } from './model.js';
import type { SamplerSettings } from './presets.js';
import type { Residents } from './residents.js';
import { type Span, parsePromptWeights, tokenWeights } from './text/prompt-weights.js';
import type { WordVectorEncoder } from './text/word-vectors.js';
import type { ConditionInputs } from './unet/condition.js';

/** Reads prompts: ByT5, or what stands in its place. */
interface TextEncoder {
  /** `[1,L,byt5_embd]` */
  encode(text: string): Tensor;
  /** Which part of the text each of the L tokens comes from. */
  spans(text: string): Span[];
}

/** What one picture should show. */
export interface ConditionRequest {
  /** Words can be weighted: `a (red:1.4) apple`. */
  prompt: string;
  /** Leave out the style that the captions the model learned from always had. */
  asWritten?: boolean;
  /** Pictures to take after. */
  images?: readonly RgbaImage[];
  /** Without images, let the prior imagine one for the prompt, if the model has a prior. True by default. */
  usePrior?: boolean;
  /** The picture that this is for, whose noise the prior starts from: its seed and its number. */
  seed?: number;
  index?: number;
}

export interface ConditionOptions {
  /** For requests that name no seed of their own. */
  seed: number;
  /** The number of the first picture: requests that ask the prior and name no number count up from it. */
  first?: number;
  settings: Pick<SamplerSettings, 'prior' | 'reweight'>;
  signal?: AbortSignal;
}

/** Pictures that are looked at together. */
const IMAGE_BATCH = 8;

/** The prior's draws, so that they are not those of the tokens. */
const PRIOR_DRAWS = 2 ** 31;

/**
 * Turns prompts and pictures into what the U-Net is told, one encoder after the other over all requests, so that each is
 * loaded once even where only one fits into memory.
 */
export class Conditioner {
  readonly #model: Model;
  readonly #residents: Residents;
  readonly #device: Device;
  #words: Promise<WordVectorEncoder> | null = null;
  #tokenizer: Promise<ClipTokenizer> | null = null;

  constructor(model: Model, residents: Residents, device: Device) {
    this.#model = model;
    this.#residents = residents;
    this.#device = device;
  }

  /**
   * @returns a condition of batch 1 for each request; equal prompts share their tensors
   * @throws PaellaError `unsupported` for images that the model cannot look at
   */
  async encode(requests: readonly ConditionRequest[], options: ConditionOptions): Promise<ConditionInputs[]> {
    if (!this.takesImages && requests.some(({ images }) => images?.length)) throw noImages(this.#model);
    const prompts = requests.map(({ prompt, asWritten }) => {
      const { text, spans } = parsePromptWeights(prompt);
      return { text: asWritten ? text : this.caption(text), spans };
    });
    const texts = prompts.map(({ text }) => text);
    const encoder = await this.#textEncoder();
    const byt5 = encodeOnce(texts, (text) => encoder.encode(text));
    const weights = prompts.map(({ text, spans }) => tokenWeights(encoder.spans(text), spans));
    const clip = await this.#encodeClipTexts(texts);
    const seen = await this.#lookAt(requests);
    const imagined = clip && (await this.#imagine(requests, clip, options));
    return requests.map((_, i) => {
      const clipImage = seen[i] ?? imagined?.[i];
      const condition: ConditionInputs = { byt5: byt5[i], clip: clip?.[i], clipImage };
      const attnWeights = this.#attentionFactors(condition, weights[i], options.settings.reweight);
      return { ...condition, attnWeights };
    });
  }

  /** Whether requests may have images. */
  get takesImages(): boolean {
    return this.#model.clipImage !== undefined || this.#model.imageEncoder !== undefined;
  }

  /** The prompt in the form of the captions the model learned from. */
  caption(prompt: string): string {
    const { suffix, styles } = this.#model.captions;
    const lower = prompt.toLowerCase();
    return prompt.trim() === '' || styles.some((style) => lower.includes(style)) ? prompt : prompt + suffix;
  }

  /** Loads what has to be there before the first prompt. */
  async load(): Promise<void> {
    await this.#textEncoder();
  }

  async #encodeClipTexts(texts: readonly string[]): Promise<Tensor[] | undefined> {
    const { clipText } = this.#model;
    if (!clipText) return undefined;
    const tokenizer = await (this.#tokenizer ??= clipText.tokenizer());
    const clip = await this.#residents.get(clipText.part);
    return encodeOnce(texts, (text) => clip.encodeText([tokenizer.encode(text)]));
  }

  /** The vectors of each request's images; undefined for one without. */
  async #lookAt(requests: readonly ConditionRequest[]): Promise<(Tensor[] | undefined)[]> {
    const images = requests.flatMap((request) => request.images ?? []);
    if (images.length === 0) return requests.map(() => undefined);
    const look = await this.#imageEncoder();
    const vectors: Tensor[] = [];
    for (let i = 0; i < images.length; i += IMAGE_BATCH) {
      const some = images.slice(i, i + IMAGE_BATCH);
      const batch = noGrad(() => scope(() => look(some)));
      some.forEach((_, n) => vectors.push(batch.slice(0, n, n + 1)));
      await this.#device.flush();
    }
    return requests.map((request) =>
      request.images?.length ? vectors.splice(0, request.images.length) : undefined,
    );
  }

  /** An image vector for each request that wants one of the prior. */
  async #imagine(
    requests: readonly ConditionRequest[],
    clip: readonly Tensor[],
    { seed, first = 0, settings, signal }: ConditionOptions,
  ): Promise<(Tensor | undefined)[]> {
    const { prior: part } = this.#model;
    const imagined: (Tensor | undefined)[] = requests.map(() => undefined);
    if (!part) return imagined;
    let index = first;
    const wanted = requests.flatMap((request, i) => {
      if (request.usePrior === false || request.images?.length) return [];
      return [{ i, seed: request.seed ?? seed, index: request.index ?? index++ }];
    });
    // The embedded model has neither a prior nor CLIP: a page that draws with it loads no code of theirs.
    const { samplePrior } = await import('./prior/diffuzz.js');
    // Pictures of one seed that follow each other are a batch.
    for (let from = 0, to = 1; from < wanted.length; from = to++) {
      while (to < wanted.length && follows(wanted[to - 1], wanted[to])) to++;
      const batch = wanted.slice(from, to);
      const rng = new Rng(batch[0].seed, PRIOR_DRAWS).forEntries(batch[0].index);
      const texts = ops.cat(
        batch.map(({ i }) => clip[i]),
        0,
      );
      const prior = await this.#residents.get(part);
      const vectors = await samplePrior(prior, texts, { ...settings.prior, rng, signal });
      batch.forEach(({ i }, n) => (imagined[i] = vectors.slice(0, n, n + 1)));
    }
    return imagined;
  }

  /** What a prompt's own weights and the settings make of each condition token, if they change any. */
  #attentionFactors(
    condition: ConditionInputs,
    weights: readonly number[] | undefined,
    reweight: SamplerSettings['reweight'],
  ): number[] | undefined {
    const text = condition.byt5.shape[1];
    const total = conditionTokens(condition, this.#model);
    const applies = reweight !== undefined && condition.clipImage !== undefined;
    if (!weights && !applies) return undefined;
    return Array.from({ length: total }, (_, i) => {
      const own = weights?.[i] ?? 1;
      if (!applies || i < total - text) return own;
      return own * (i < total - this.#model.clipTokens ? reweight.text : reweight.image);
    });
  }

  /** What makes vectors of pictures, `[B,clip_embd]`: CLIP's image tower, or what stands in its place. */
  async #imageEncoder(): Promise<(images: readonly RgbaImage[]) => Tensor> {
    const { clipImage, imageEncoder } = this.#model;
    if (clipImage) {
      const { preprocessClip } = await import('./clip/preprocess.js');
      const clip = await this.#residents.get(clipImage);
      const size = clip.config.vision_cfg?.image_size;
      return (images) => clip.encodeImage(preprocessClip(this.#device, images, size));
    }
    if (!imageEncoder) throw noImages(this.#model);
    const encoder = await this.#residents.get(imageEncoder);
    return (images) => encoder.encode(images);
  }

  #textEncoder(): Promise<TextEncoder> {
    const { text } = this.#model;
    if (text.kind === 'byt5') return this.#residents.get(text.part);
    return (this.#words ??= text.open(this.#device));
  }
}

/** How many tokens a condition has. */
export const conditionTokens = (
  { byt5, clip, clipImage = [] }: ConditionInputs,
  { clipTokens }: Pick<Model, 'clipTokens'>,
): number => byt5.shape[1] + clipTokens * ((clip ? 1 : 0) + [clipImage].flat().length);

/** Tensors of texts, of which equal ones are encoded once. */
function encodeOnce(texts: readonly string[], encode: (text: string) => Tensor): Tensor[] {
  const known = new Map<string, Tensor>();
  return texts.map((text) => {
    const tensor = known.get(text) ?? noGrad(() => scope(() => encode(text)));
    known.set(text, tensor);
    return tensor;
  });
}

function noImages({ name, missing }: Model): PaellaError {
  const clip = missing.find(({ file }) => file.startsWith('clip'));
  return new PaellaError('unsupported', `${name} cannot look at pictures: it has no image encoder`, {
    fix: clip
      ? `Add ${clip.file}, published at ${clip.published}`
      : 'Start from the picture instead (morph), or describe it in words.',
  });
}

const follows = (a: { seed: number; index: number }, b: { seed: number; index: number }): boolean =>
  b.seed === a.seed && b.index === a.index + 1;

import { type Device, type Tensor, noGrad, scope } from '@paella/tensor';
import type { Model } from './model.js';
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
}

/**
 * Turns prompts into what the U-Net is told, one encoder after the other over all requests, so that each is loaded
 * once even where only one fits into memory.
 */
export class Conditioner {
  readonly #model: Model;
  readonly #residents: Residents;
  readonly #device: Device;
  #words: Promise<WordVectorEncoder> | null = null;

  constructor(model: Model, residents: Residents, device: Device) {
    this.#model = model;
    this.#residents = residents;
    this.#device = device;
  }

  /** @returns a condition of batch 1 for each request; equal prompts share their tensors */
  async encode(requests: readonly ConditionRequest[]): Promise<ConditionInputs[]> {
    const prompts = requests.map(({ prompt, asWritten }) => {
      const { text, spans } = parsePromptWeights(prompt);
      return { text: asWritten ? text : this.caption(text), spans };
    });
    const encoder = await this.#textEncoder();
    const byt5 = encodeOnce(
      prompts.map(({ text }) => text),
      (text) => encoder.encode(text),
    );
    return prompts.map(({ text, spans }, i) => ({
      byt5: byt5[i],
      attnWeights: tokenWeights(encoder.spans(text), spans),
    }));
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

  #textEncoder(): Promise<TextEncoder> {
    const { text } = this.#model;
    if (text.kind === 'byt5') return this.#residents.get(text.part);
    return (this.#words ??= text.open(this.#device));
  }
}

/** Tensors of texts, of which equal ones are encoded once. */
function encodeOnce(texts: readonly string[], encode: (text: string) => Tensor): Tensor[] {
  const known = new Map<string, Tensor>();
  return texts.map((text) => {
    const tensor = known.get(text) ?? noGrad(() => scope(() => encode(text)));
    known.set(text, tensor);
    return tensor;
  });
}

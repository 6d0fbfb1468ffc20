import { type Device, type Tensor, noGrad, scope } from '@paella/tensor';
import type { Model } from './model.js';
import type { Residents } from './residents.js';
import type { WordVectorEncoder } from './text/word-vectors.js';
import type { ConditionInputs } from './unet/condition.js';

/** What one picture should show. */
export interface ConditionRequest {
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
    const texts = requests.map(({ prompt, asWritten }) => (asWritten ? prompt : this.caption(prompt)));
    const byt5 = await this.#encodeTexts(texts);
    return texts.map((text) => ({ byt5: byt5.get(text)! }));
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

  async #encodeTexts(texts: readonly string[]): Promise<Map<string, Tensor>> {
    const encoder = await this.#textEncoder();
    const unique = [...new Set(texts)];
    return new Map(unique.map((text) => [text, noGrad(() => scope(() => encoder.encode(text)))]));
  }

  #textEncoder(): Promise<{ encode(text: string): Tensor }> {
    const { text } = this.#model;
    if (text.kind === 'byt5') return this.#residents.get(text.part);
    return (this.#words ??= text.open(this.#device));
  }
}

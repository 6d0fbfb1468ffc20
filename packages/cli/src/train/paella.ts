/** Training of a U-Net on tokens and captions. */
import { Rng, type Tensor, noGrad, scope } from '@paella/tensor';
import {
  type ConditionInputs,
  Paella,
  type RgbaImage,
  type VQModel,
  addNoise,
  contactSheet,
  decodeTokens,
  sample,
} from 'paella';
import type { PaellaRunConfig } from '../run/config.js';
import type { Metrics } from '../run/metrics.js';
import { DenoisingLearner, type LearnerParts } from './denoising.js';
import { exportWeights, writeCard } from './parts.js';
import type { TrainedText } from './text.js';
import { tokensOf } from './tokens.js';

/** Pictures in a row of the grids. */
const shown = 8;

export class PaellaLearner extends DenoisingLearner {
  readonly #config: PaellaRunConfig;
  readonly #text: TrainedText;
  readonly #vqgan: VQModel;

  constructor(
    config: PaellaRunConfig,
    { vqgan, text, ...parts }: LearnerParts & { vqgan: VQModel; text: TrainedText },
  ) {
    const unet = new Paella(config.model, { device: vqgan.device, rng: parts.rng }).train();
    const learning = [
      { module: unet, part: 'model', average: 'ema' },
      ...(text.module ? [{ module: text.module, part: 'text', average: 'text_ema', prefix: 'text.' }] : []),
    ];
    super(config, { ...parts, unet, learning });
    this.#config = config;
    this.#vqgan = vqgan;
    this.#text = text;
  }

  protected condition(_tokens: Tensor, captions: readonly string[]): ConditionInputs {
    return this.#text.encode(captions);
  }

  /** Rows: originals, noised, predicted in one step, drawn from noise for the same captions. */
  async evaluate(step: number): Promise<{ pictures: Record<string, RgbaImage>; metrics: Metrics }> {
    const run = async (): Promise<RgbaImage> => {
      this.unet.eval();
      const rng = new Rng(1); // grids of all steps show the same pictures
      const picks = this.pick(shown, rng);
      const captions = picks.map((i) => this.set.captions[i][0] ?? '');
      const prompts = this.#config.sampling.prompts;
      const wanted =
        prompts.length > 0 ? Array.from(captions, (_, i) => prompts[i % prompts.length]) : captions;
      const shape = [shown, ...this.set.grid] as const;
      const originals = tokensOf(this.set, picks, this.device).keep();
      const { noised, guess, cond, uncond } = noGrad(() =>
        scope(() => {
          const mixed = addNoise(originals, 0.6, { rng, numLabels: this.#config.model.num_labels }).noised;
          const logits = this.unet.forward(mixed, 0.6, this.#text.encode(captions));
          return {
            noised: mixed,
            guess: logits.argmax(-1),
            cond: this.#text.encode(wanted),
            uncond: this.#text.encode(wanted.map(() => '')),
          };
        }),
      );
      const { steps, cfg, temperature } = this.#config.sampling;
      const tokens = await sample(this.unet, cond, { shape, rng, uncond, steps, cfg, temperature });
      const rows: RgbaImage[] = [];
      for (const row of [originals, noised, guess, tokens]) {
        rows.push(...(await decodeTokens(this.#vqgan, row)));
        row.dispose();
      }
      for (const { byt5 } of [cond, uncond]) byt5.dispose();
      this.unet.train();
      return contactSheet(rows, { columns: shown });
    };
    return { pictures: { samples: await this.withAverage(run) }, metrics: { epochs: this.epochs(step) } };
  }

  export(folder: string): Promise<void> {
    return this.withAverage(async () => {
      const { unet } = this;
      const size = this.set.grid[0] * this.#vqgan.factor;
      const { steps, cfg, temperature } = this.#config.sampling;
      await writeCard(folder, {
        format: 'paella-model/1',
        name: 'trained with paella train',
        description: `U-Net of ${unet.parameters().reduce((sum, { size: n }) => sum + n, 0)} parameters`,
        image_size: [this.set.grid[1] * this.#vqgan.factor, size],
        unet: {
          weights: await exportWeights(folder, 'unet.safetensors', unet.stateDict()),
          config: this.#config.model,
        },
        vqgan: {
          weights: await exportWeights(folder, 'vqgan.safetensors', this.#vqgan.stateDict()),
          config: this.#vqgan.config,
        },
        text_encoder: await this.#text.export(folder),
        captions: { form: 'as in the data set', suffix: '', styles: [] },
        sampler: { steps, renoise_steps: steps - 1, temperature, cfg },
        licenses: [{ what: 'The pictures it learned from', license: 'see the NOTICE of the data set' }],
      });
    });
  }
}

/** Training of the image encoder of a model that is otherwise finished. */
import { Rng, type Tensor, noGrad, scope } from '@paella/tensor';
import {
  type ConditionInputs,
  ImageEncoder,
  type ModelCard,
  type Paella,
  type RgbaImage,
  type VQModel,
  contactSheet,
  decodeTokens,
  sample,
} from 'paella';
import type { ImageEncoderRunConfig } from '../run/config.js';
import type { Metrics } from '../run/metrics.js';
import { DenoisingLearner, type LearnerParts } from './denoising.js';
import { exportWeights, writeCard } from './parts.js';
import type { TrainedText } from './text.js';
import { tokensOf } from './tokens.js';

/** Pictures in a row of the grids. */
const shown = 8;

export interface FinishedModel {
  card: ModelCard;
  unet: Paella;
  vqgan: VQModel;
  text: TrainedText;
}

/**
 * The U-Net stays as it is and denoises pictures whose image vector it is told; what lowers its loss is what the vector
 * should say. Only the encoder learns, and `clip_image_mapper`, which nothing has used before.
 */
export class ImageEncoderLearner extends DenoisingLearner {
  readonly #config: ImageEncoderRunConfig;
  readonly #encoder: ImageEncoder;
  readonly #model: FinishedModel;

  constructor(config: ImageEncoderRunConfig, { model, ...parts }: LearnerParts & { model: FinishedModel }) {
    const { unet } = model;
    const encoder = new ImageEncoder(config.model, { device: unet.device, rng: parts.rng }).train();
    unet.requiresGrad_(false);
    unet.clip_image_mapper.requiresGrad_(true);
    const learning = [
      { module: encoder, part: 'model', average: 'ema' },
      { module: unet.clip_image_mapper, part: 'mapper', average: 'mapper_ema', prefix: 'clip_image_mapper.' },
    ];
    super(config, { ...parts, unet, learning });
    this.#config = config;
    this.#encoder = encoder;
    this.#model = model;
  }

  /** The set has no pixels: the encoder looks at what the VQGAN makes of the tokens. */
  protected condition(tokens: Tensor, captions: readonly string[]): ConditionInputs {
    const pixels = noGrad(() => scope(() => this.#model.vqgan.decodeIndices(tokens).clamp(0, 1)));
    return { ...this.#model.text.encode(captions), clipImage: this.#encoder.forward(pixels) };
  }

  /** Rows: originals, and two variations of each. */
  async evaluate(step: number): Promise<{ pictures: Record<string, RgbaImage>; metrics: Metrics }> {
    const run = async (): Promise<RgbaImage> => {
      const rng = new Rng(1); // grids of all steps show the same pictures
      const originals = tokensOf(this.set, this.pick(shown, rng), this.device).keep();
      const shape = [shown, ...this.set.grid] as const;
      const { steps, cfg, temperature } = this.#config.sampling;
      const rows = await decodeTokens(this.#model.vqgan, originals);
      for (let row = 0; row < 2; row++) {
        const tokens = await scope(async () => {
          const cond = noGrad(() =>
            this.condition(
              originals,
              rows.slice(0, shown).map(() => ''),
            ),
          );
          const uncond = this.#model.text.encode(['']);
          return sample(this.unet, cond, { shape, rng, uncond: [uncond], steps, cfg, temperature });
        });
        rows.push(...(await decodeTokens(this.#model.vqgan, tokens)));
        tokens.dispose();
      }
      originals.dispose();
      return contactSheet(rows, { columns: shown });
    };
    return { pictures: { variations: await this.withAverage(run) }, metrics: { epochs: this.epochs(step) } };
  }

  /** The model, as it was and able to look at pictures. */
  export(folder: string): Promise<void> {
    return this.withAverage(async () => {
      const { card, unet, vqgan, text } = this.#model;
      await writeCard(folder, {
        ...card,
        unet: { ...card.unet, weights: await exportWeights(folder, 'unet.safetensors', unet.stateDict()) },
        vqgan: {
          ...card.vqgan,
          weights: await exportWeights(folder, 'vqgan.safetensors', vqgan.stateDict()),
        },
        text_encoder: await text.export(folder),
        image_encoder: {
          weights: await exportWeights(folder, 'image-encoder.safetensors', this.#encoder.stateDict()),
          config: this.#config.model,
        },
      });
    });
  }
}

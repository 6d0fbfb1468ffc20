/** Training of a U-Net on tokens and captions. */
import {
  type Device,
  Rng,
  type StateDict,
  type Tensor,
  autocast,
  nn,
  noGrad,
  optim,
  scope,
} from '@paella/tensor';
import {
  type DenoisingStep,
  Paella,
  type RgbaImage,
  type VQModel,
  addNoise,
  contactSheet,
  decodeTokens,
  denoisingStep,
  optimizerStep,
  sample,
} from 'paella';
import type { PaellaRunConfig } from '../run/config.js';
import type { Learner } from '../run/loop.js';
import type { Metrics } from '../run/metrics.js';
import {
  exportWeights,
  learningRate,
  makeOptimizer,
  partOf,
  trainable,
  whereNonFinite,
  writeCard,
} from './parts.js';
import type { TrainedText } from './text.js';
import type { TokenSet } from './tokens.js';

/** Pictures in a row of the grids. */
const shown = 8;
/** Noise levels are reported by this many equal parts of (0,1]. */
const levels = 4;

export class PaellaLearner implements Learner {
  readonly device: Device;
  readonly #config: PaellaRunConfig;
  readonly #unet: Paella;
  readonly #text: TrainedText;
  readonly #vqgan: VQModel;
  readonly #set: TokenSet;
  readonly #modules: nn.Module[];
  readonly #optimizer: optim.AdamW;
  readonly #ema: optim.EMA | null;
  readonly #scaler: optim.GradScaler | null;
  readonly #rng: Rng;
  readonly #learningRate: (step: number) => number;
  /** Sums of the weights up to each picture. */
  readonly #cumulative: Float64Array;
  /** Where the generator stood before the last two steps. */
  readonly #starts = new Map<number, number>();

  constructor(
    config: PaellaRunConfig,
    { set, vqgan, text, rng }: { set: TokenSet; vqgan: VQModel; text: TrainedText; rng: Rng },
  ) {
    this.device = vqgan.device;
    this.#config = config;
    this.#set = set;
    this.#vqgan = vqgan;
    this.#text = text;
    this.#rng = rng;
    this.#unet = new Paella(config.model, { device: this.device, rng }).train();
    this.#unet.dropout.rng = rng;
    this.#modules = text.module ? [this.#unet, text.module] : [this.#unet];
    const named = [...trainable(this.#unet), ...(text.module ? trainable(text.module, 'text.') : [])];
    this.#optimizer = makeOptimizer(named, config.training);
    const { ema_decay: decay, precision } = config.training;
    this.#ema = decay === null ? null : new optim.EMA(this.#optimizer, { decay });
    this.#scaler = precision === 'mixed' ? new optim.GradScaler() : null;
    this.#learningRate = learningRate(config.training);
    let total = 0;
    this.#cumulative = Float64Array.from(set.weights, (weight) => (total += weight));
  }

  async begin(): Promise<void> {}

  async step(step: number): Promise<{ metrics: Promise<Metrics>; images: number }> {
    const { training } = this.#config;
    const lr = this.#learningRate(step);
    this.#optimizer.setLearningRate(lr);
    this.#starts.set(step, this.#rng.counter).delete(step - 2);
    const batches = this.#learn();
    const accumulate = batches.length;
    const norm = await this.#apply();
    this.#ema?.update();
    const kept = [norm, ...batches.flatMap((one) => Object.values(one) as Tensor[])].map((one) => one.keep());
    const read = async (): Promise<Metrics> => {
      const grad_norm = await norm.item();
      const values: { loss: number; t: number[]; crossEntropy: number[]; accuracy: number[] } = {
        loss: 0,
        t: [],
        crossEntropy: [],
        accuracy: [],
      };
      for (const { loss, t, crossEntropy, accuracy } of batches) {
        values.loss += (await loss.item()) / accumulate;
        values.t.push(...(await t.data()));
        values.crossEntropy.push(...(await crossEntropy.data()));
        values.accuracy.push(...(await accuracy.data()));
      }
      for (const one of kept) one.dispose();
      const scale = this.#scaler && { loss_scale: this.#scaler.scale };
      return {
        loss: values.loss,
        grad_norm,
        accuracy: mean(values.accuracy),
        learning_rate: lr,
        ...byLevel(values.t, values.crossEntropy),
        ...scale,
      };
    };
    return { metrics: read(), images: accumulate * training.batch_size };
  }

  /** Adds up the gradients of a step's batches. */
  #learn(): DenoisingStep[] {
    const { training, noise } = this.#config;
    const options = {
      rng: this.#rng,
      minT: noise.min_t,
      labelSmoothing: noise.label_smoothing,
      minWeight: noise.loss_weight_min,
      accumulate: training.grad_accum,
      lossScale: this.#scaler?.scale,
    };
    const once = () => scope(() => denoisingStep(this.#unet, this.#batch(), options));
    return Array.from({ length: training.grad_accum }, () => (this.#scaler ? autocast(once) : once()));
  }

  parts(): Record<string, StateDict> {
    const [unet, text] = this.#modules;
    return {
      model: unet.stateDict(),
      optimizer: this.#optimizer.stateDict(),
      ...(text && { text: text.stateDict() }),
      ...(this.#ema && { ema: this.#ema.stateDict(unet) }),
      ...(this.#ema && text && { text_ema: this.#ema.stateDict(text) }),
    };
  }

  state(): Record<string, unknown> {
    return {
      rng: this.#rng.state(),
      ema_updates: this.#ema?.updates ?? 0,
      ...(this.#scaler && { scaler: this.#scaler.state() }),
    };
  }

  async restore(parts: Record<string, StateDict>, state: Record<string, unknown>): Promise<void> {
    const [unet, text] = this.#modules;
    await unet.loadStateDict(partOf(parts, 'model'));
    if (text) await text.loadStateDict(partOf(parts, 'text'));
    await this.#optimizer.loadStateDict(partOf(parts, 'optimizer'));
    if (this.#ema) {
      await this.#ema.loadStateDict(unet, partOf(parts, 'ema'));
      if (text) await this.#ema.loadStateDict(text, partOf(parts, 'text_ema'));
      this.#ema.updates = state.ema_updates as number;
    }
    if (this.#scaler) this.#scaler.load(state.scaler as optim.GradScalerState);
    this.#rng.counter = Rng.from(state.rng as ReturnType<Rng['state']>).counter;
  }

  /** Rows: originals, noised, predicted in one step, drawn from noise for the same captions. */
  async evaluate(step: number): Promise<{ pictures: Record<string, RgbaImage>; metrics: Metrics }> {
    const run = async (): Promise<RgbaImage> => {
      this.#unet.eval();
      const rng = new Rng(1); // grids of all steps show the same pictures
      const picks = Array.from(rng.uniformArray(shown), (number) => this.#pick(number));
      const captions = picks.map((i) => this.#set.captions[i][0] ?? '');
      const prompts = this.#config.sampling.prompts;
      const wanted =
        prompts.length > 0 ? Array.from(captions, (_, i) => prompts[i % prompts.length]) : captions;
      const shape = [shown, ...this.#set.grid] as const;
      const originals = this.#tokensOf(picks).keep();
      const { noised, guess, cond, uncond } = noGrad(() =>
        scope(() => {
          const mixed = addNoise(originals, 0.6, { rng, numLabels: this.#config.model.num_labels }).noised;
          const logits = this.#unet.forward(mixed, 0.6, this.#text.encode(captions));
          return {
            noised: mixed,
            guess: logits.argmax(-1),
            cond: this.#text.encode(wanted),
            uncond: this.#text.encode(wanted.map(() => '')),
          };
        }),
      );
      const { steps, cfg, temperature } = this.#config.sampling;
      const tokens = await sample(this.#unet, cond, { shape, rng, uncond, steps, cfg, temperature });
      const rows: RgbaImage[] = [];
      for (const row of [originals, noised, guess, tokens]) {
        rows.push(...(await decodeTokens(this.#vqgan, row)));
        row.dispose();
      }
      for (const { byt5 } of [cond, uncond]) byt5.dispose();
      this.#unet.train();
      return contactSheet(rows, { columns: shown });
    };
    return {
      pictures: { samples: await (this.#ema ? this.#ema.use(run) : run()) },
      metrics: { epochs: this.#epochs(step) },
    };
  }

  async findNonFinite(step: number): Promise<string | null> {
    const [unet, text] = this.#modules;
    const parameters = [...trainable(unet), ...(text ? trainable(text, 'text.') : [])];
    this.#rng.counter = this.#starts.get(step) ?? this.#rng.counter;
    const place = await whereNonFinite(parameters, () => void this.#learn());
    this.#optimizer.zeroGrad();
    return place;
  }

  async export(folder: string): Promise<void> {
    const unet = this.#unet;
    const write = async (): Promise<void> => {
      const size = this.#set.grid[0] * this.#vqgan.factor;
      const { steps, cfg, temperature } = this.#config.sampling;
      writeCard(folder, {
        format: 'paella-model/1',
        name: 'trained with paella train',
        description: `U-Net of ${unet.parameters().reduce((sum, { size: n }) => sum + n, 0)} parameters`,
        image_size: [this.#set.grid[1] * this.#vqgan.factor, size],
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
    };
    await (this.#ema ? this.#ema.use(write) : write());
  }

  /** Clips, and steps unless the scaled gradients overflowed. */
  async #apply(): Promise<Tensor> {
    const { grad_clip: gradClip } = this.#config.training;
    if (!this.#scaler) return optimizerStep(this.#optimizer, { gradClip });
    const norm = this.#optimizer.clipGradNorm(gradClip, { unscale: 1 / this.#scaler.scale });
    const value = await norm.item();
    if (this.#scaler.update(value)) {
      this.#optimizer.step();
      this.#optimizer.zeroGrad();
      return norm;
    }
    this.#optimizer.zeroGrad();
    norm.dispose();
    return this.device.zeros([]);
  }

  #batch(): { tokens: Tensor; cond: ReturnType<TrainedText['encode']> } {
    const { training, caption_dropout, captions: which } = this.#config;
    const numbers = this.#rng.uniformArray(3 * training.batch_size);
    const picks: number[] = [];
    const captions: string[] = [];
    for (let i = 0; i < training.batch_size; i++) {
      const pick = this.#pick(numbers[3 * i]);
      const all = this.#set.captions[pick];
      const index = which === 'first' ? 0 : Math.floor(numbers[3 * i + 1] * all.length);
      picks.push(pick);
      captions.push(numbers[3 * i + 2] < caption_dropout ? '' : (all[index] ?? ''));
    }
    return { tokens: this.#tokensOf(picks), cond: this.#text.encode(captions) };
  }

  /** The picture that a number in [0,1) stands for: pictures take shares by their weight. */
  #pick(number: number): number {
    const target = number * this.#cumulative[this.#cumulative.length - 1];
    let [low, high] = [0, this.#cumulative.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#cumulative[middle] > target) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #tokensOf(picks: readonly number[]): Tensor {
    const [height, width] = this.#set.grid;
    const area = height * width;
    const tokens = new Uint32Array(picks.length * area);
    picks.forEach((pick, n) =>
      tokens.set(this.#set.tokens.subarray(pick * area, (pick + 1) * area), n * area),
    );
    return this.device.tensor(tokens, [picks.length, height, width]);
  }

  #epochs(step: number): number {
    const { batch_size, grad_accum } = this.#config.training;
    return (step * batch_size * grad_accum) / this.#cumulative[this.#cumulative.length - 1];
  }
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean cross-entropy by noise level. */
function byLevel(t: readonly number[], crossEntropy: readonly number[]): Metrics {
  const metrics: Metrics = {};
  for (let level = 0; level < levels; level++) {
    const own = crossEntropy.filter((_, i) => Math.min(levels - 1, Math.floor(t[i] * levels)) === level);
    const name = `loss_noise_${(100 * level) / levels}-${(100 * (level + 1)) / levels}`;
    if (own.length > 0) metrics[name] = mean(own);
  }
  return metrics;
}

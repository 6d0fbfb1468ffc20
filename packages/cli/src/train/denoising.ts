/** Training with the denoising loss, whichever networks learn from it. */
import {
  type Device,
  Rng,
  type StateDict,
  type Tensor,
  autocast,
  type nn,
  optim,
  scope,
} from '@paella/tensor';
import { GradientSum, type Group, firstDifference } from '@paella/tensor/distributed';
import {
  type ConditionInputs,
  type DenoisingStep,
  type Paella,
  type RgbaImage,
  denoisingStep,
  optimizerStep,
} from 'paella';
import type { PaellaRunConfig } from '../run/config.js';
import type { Learner } from '../run/loop.js';
import type { Metrics } from '../run/metrics.js';
import { learningRate, makeOptimizer, partOf, trainable, whereNonFinite } from './parts.js';
import { type TokenSet, pickByWeight, tokensOf } from './tokens.js';

/** Noise levels are reported by this many equal parts of (0,1]. */
const levels = 4;

/** A network that learns. */
export interface Learning {
  module: nn.Module;
  /** What its weights, and their average, are called in a checkpoint. */
  part: string;
  average: string;
  /** Stands before its parameters' names. */
  prefix?: string;
}

/** What learners of this kind are made of. */
export interface LearnerParts {
  set: TokenSet;
  rng: Rng;
  group: Group;
}

type Settings = Pick<PaellaRunConfig, 'training' | 'noise' | 'caption_dropout' | 'captions'>;

export abstract class DenoisingLearner implements Learner {
  readonly device: Device;
  protected readonly unet: Paella;
  protected readonly set: TokenSet;
  readonly #settings: Settings;
  readonly #learning: readonly Learning[];
  readonly #group: Group;
  readonly #parameters: [string, nn.Parameter][];
  readonly #optimizer: optim.AdamW;
  readonly #sum: GradientSum;
  readonly #ema: optim.EMA | null;
  readonly #scaler: optim.GradScaler | null;
  readonly #rng: Rng;
  readonly #learningRate: (step: number) => number;
  readonly #pick: (number: number) => number;
  /** Where the generator stood before the last two steps. */
  readonly #starts = new Map<number, number>();

  /** @param learning whose parameters that require gradients are trained */
  constructor(
    settings: Settings,
    { unet, learning, set, rng, group }: LearnerParts & { unet: Paella; learning: readonly Learning[] },
  ) {
    this.device = unet.device;
    this.unet = unet;
    this.set = set;
    this.#settings = settings;
    this.#learning = learning;
    this.#group = group;
    this.#rng = rng;
    this.#parameters = learning.flatMap(({ module, prefix = '' }) => trainable(module, prefix));
    this.#optimizer = makeOptimizer(this.#parameters, settings.training);
    this.#sum = new GradientSum(this.#optimizer, group, { dtype: settings.training.reduce_dtype });
    const { ema_decay: decay, precision } = settings.training;
    this.#ema = decay === null ? null : new optim.EMA(this.#optimizer, { decay });
    this.#scaler = precision === 'mixed' ? new optim.GradScaler() : null;
    this.#learningRate = learningRate(settings.training);
    this.#pick = pickByWeight(set.weights);
  }

  /** What the U-Net is told about pictures of the set, with these tokens and captions. */
  protected abstract condition(tokens: Tensor, captions: readonly string[]): ConditionInputs;

  abstract evaluate(step: number): Promise<{ pictures: Record<string, RgbaImage>; metrics: Metrics }>;

  abstract export(folder: string): Promise<void>;

  async begin(): Promise<void> {}

  async step(step: number): Promise<{ metrics: Promise<Metrics>; images: number }> {
    const { training } = this.#settings;
    const lr = this.#learningRate(step);
    this.#optimizer.setLearningRate(lr);
    this.#starts.set(step, this.#rng.counter).delete(step - 2);
    const batches = this.#learn((pass) => this.#sum.during(pass));
    await this.#sum.finish();
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

  parts(): Record<string, StateDict> {
    const parts: Record<string, StateDict> = { optimizer: this.#optimizer.stateDict() };
    for (const { module, part, average } of this.#learning) {
      parts[part] = module.stateDict();
      if (this.#ema) parts[average] = this.#ema.stateDict(module);
    }
    return parts;
  }

  async state(): Promise<Record<string, unknown>> {
    return {
      rng: this.#rng.state(),
      ema_updates: this.#ema?.updates ?? 0,
      ...(this.#scaler && { scaler: this.#scaler.state() }),
    };
  }

  async restore(parts: Record<string, StateDict>, state: Record<string, unknown>): Promise<void> {
    for (const { module, part } of this.#learning) await module.loadStateDict(partOf(parts, part));
    await this.#optimizer.loadStateDict(partOf(parts, 'optimizer'));
    if (this.#ema) {
      for (const { module, average } of this.#learning) {
        await this.#ema.loadStateDict(module, partOf(parts, average));
      }
      this.#ema.updates = state.ema_updates as number;
    }
    if (this.#scaler) this.#scaler.load(state.scaler as optim.GradScalerState);
    this.#rng.counter = Rng.from(state.rng as ReturnType<Rng['state']>).counter;
  }

  firstDifference(): Promise<string | null> {
    return firstDifference(this.#group, this.#optimizer);
  }

  async findNonFinite(step: number): Promise<string | null> {
    this.#rng.counter = this.#starts.get(step) ?? this.#rng.counter;
    const place = await whereNonFinite(this.#parameters, () => void this.#learn());
    this.#optimizer.zeroGrad();
    return place;
  }

  /** Pictures of the set, by its weights. */
  protected pick(count: number, rng: Rng): number[] {
    return Array.from(rng.uniformArray(count), this.#pick);
  }

  /** Runs with the average of the weights, if there is one. */
  protected withAverage<T>(run: () => Promise<T>): Promise<T> {
    return this.#ema ? this.#ema.use(run) : run();
  }

  protected epochs(step: number): number {
    const { batch_size, grad_accum } = this.#settings.training;
    return (
      (step * batch_size * grad_accum * this.#group.size) /
      this.set.weights.reduce((sum, weight) => sum + weight, 0)
    );
  }

  /**
   * Adds up the gradients of a step's batches: this process's share of each.
   *
   * @param last runs the last of them
   */
  #learn(last = (pass: () => DenoisingStep): DenoisingStep => pass()): DenoisingStep[] {
    const { training, noise } = this.#settings;
    const { rank, size } = this.#group;
    const options = {
      minT: noise.min_t,
      labelSmoothing: noise.label_smoothing,
      minWeight: noise.loss_weight_min,
      accumulate: training.grad_accum * size,
      lossScale: this.#scaler?.scale,
    };
    const once = (): DenoisingStep => {
      const batch = this.#batch();
      // A picture draws the same in whichever process it is.
      const rng = this.#rng.forEntries(rank * training.batch_size);
      this.unet.dropout.rng = rng;
      const step = denoisingStep(this.unet, batch, { ...options, rng });
      this.#rng.counter = rng.counter;
      return step;
    };
    const pass = (): DenoisingStep => scope(() => (this.#scaler ? autocast(once) : once()));
    return Array.from({ length: training.grad_accum }, (_, i) =>
      i === training.grad_accum - 1 ? last(pass) : pass(),
    );
  }

  /** Clips, and steps unless the scaled gradients overflowed. */
  async #apply(): Promise<Tensor> {
    const { grad_clip: gradClip } = this.#settings.training;
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

  #batch(): { tokens: Tensor; cond: ConditionInputs } {
    const { training, caption_dropout, captions: which } = this.#settings;
    const { rank, size } = this.#group;
    const count = 3 * training.batch_size;
    const numbers = this.#rng.uniformArray(size * count).subarray(rank * count, (rank + 1) * count);
    const picks: number[] = [];
    const captions: string[] = [];
    for (let i = 0; i < training.batch_size; i++) {
      const pick = this.#pick(numbers[3 * i]);
      const all = this.set.captions[pick];
      const index = which === 'first' ? 0 : Math.floor(numbers[3 * i + 1] * all.length);
      picks.push(pick);
      captions.push(numbers[3 * i + 2] < caption_dropout ? '' : (all[index] ?? ''));
    }
    const tokens = tokensOf(this.set, picks, this.device);
    return { tokens, cond: this.condition(tokens, captions) };
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

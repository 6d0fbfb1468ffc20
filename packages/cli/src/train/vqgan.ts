/** Training of a VQGAN on pictures. */
import { type Device, Rng, type StateDict, type Tensor, autocast, optim, scope } from '@paella/tensor';
import { GradientSum, type Group, alone, firstDifference } from '@paella/tensor/distributed';
import {
  Discriminator,
  type RgbaImage,
  VQModel,
  codeUsage,
  contactSheet,
  discriminatorGradients,
  imagesFromTensor,
  latentsOf,
  optimizerStep,
  psnr,
  reconstruct,
  ssim,
  vqganGradients,
} from 'paella';
import type { DataPosition, Dataset } from '../data/dataset.js';
import type { VqganRunConfig } from '../run/config.js';
import type { Learner } from '../run/loop.js';
import type { Metrics } from '../run/metrics.js';
import { batchTensor } from './batch.js';
import {
  exportWeights,
  learningRate,
  makeOptimizer,
  partOf,
  trainable,
  whereNonFinite,
  writeCard,
} from './parts.js';

/** Pictures whose reconstructions are looked at. */
const shown = 16;

/** What teaches the VQGAN to look real. */
interface Adversary {
  discriminator: Discriminator;
  optimizer: optim.AdamW;
  sum: GradientSum;
}

/**
 * Processes learn from the means of their gradients, and keep the same weights. The running statistics of batch norm are
 * each process's own, as in PyTorch's DistributedDataParallel without SyncBatchNorm, and so is the weight of the
 * adversarial loss; what is saved are the statistics of the first process.
 */
export class VqganLearner implements Learner {
  readonly device: Device;
  readonly #config: VqganRunConfig;
  readonly #vq: VQModel;
  readonly #optimizer: optim.AdamW;
  readonly #group: Group;
  readonly #sum: GradientSum;
  readonly #ema: optim.EMA | null;
  readonly #adversary: Adversary | null;
  readonly #data: Dataset;
  readonly #held: Dataset;
  readonly #rng: Rng;
  readonly #learningRate: (step: number) => number;
  #examples: ReturnType<Dataset['examples']> | null = null;
  #position: DataPosition = { epoch: 0, index: 0 };
  /** Pictures of the last two steps. */
  readonly #recent = new Map<number, Uint8Array[]>();
  /** How often each code was used, in all processes, since codes were last revived. */
  #usage: Uint32Array;

  /**
   * @param data.train this process's share of the pictures
   * @param data.held pictures to look at, read from their start
   */
  constructor(
    config: VqganRunConfig,
    data: { train: Dataset; held: Dataset },
    device: Device,
    group: Group = alone,
  ) {
    this.device = device;
    this.#group = group;
    this.#config = config;
    this.#data = data.train;
    this.#held = data.held;
    this.#rng = new Rng(config.training.seed);
    const context = { device, rng: this.#rng };
    this.#vq = new VQModel(config.model, context).train();
    this.#optimizer = makeOptimizer(trainable(this.#vq), config.training);
    const exchange = { dtype: config.training.reduce_dtype };
    this.#sum = new GradientSum(this.#optimizer, group, exchange);
    const { ema_decay: decay } = config.training;
    this.#ema = decay === null ? null : new optim.EMA(this.#optimizer, { decay });
    this.#learningRate = learningRate(config.training);
    this.#usage = new Uint32Array(config.model.codebook_size);
    const { start, c_hidden, depth, learning_rate } = config.discriminator;
    if (start === null) {
      this.#adversary = null;
    } else {
      const discriminator = new Discriminator({ c_in: 3, c_hidden, depth }, context).train();
      const optimizer = makeOptimizer(trainable(discriminator), { ...config.training, learning_rate });
      this.#adversary = { discriminator, optimizer, sum: new GradientSum(optimizer, group, exchange) };
    }
  }

  /** Starts the codebook from what pictures look like to the encoder, at its start. */
  async begin(): Promise<void> {
    if (!this.#config.codebook.init_from_data) return;
    const wanted = this.#config.model.codebook_size;
    const latents: number[][] = [];
    for (let batches = 0; latents.length < 4 * wanted && batches < 32; batches++) {
      latents.push(...(await this.#latents(await this.#nextPictures())));
    }
    const numbers = this.#rng.uniformArray(wanted);
    const codes = Array.from(numbers, (number) => latents[Math.floor(number * latents.length)]);
    this.#vq.vquantizer.codebook.weight.load(codes.flat());
    this.#examples = null; // the first step sees the first pictures again
    this.#position = { epoch: 0, index: 0 };
  }

  async step(step: number): Promise<{ metrics: Promise<Metrics>; images: number }> {
    const { discriminator, codebook } = this.#config;
    const pictures = await this.#nextPictures();
    this.#recent.set(step, pictures).delete(step - 2);
    const lr = this.#learningRate(step);
    this.#optimizer.setLearningRate(lr);
    const isAdversarial = this.#adversary && step >= (discriminator.start ?? Infinity);
    const { indices, ...scalars } = await this.#learn(pictures, isAdversarial ? this.#adversary : null);
    this.#ema?.update();
    await this.#count(indices);
    const { used, perplexity } = codeUsage(this.#usage);
    if (codebook.revive_every !== null && (step + 1) % codebook.revive_every === 0)
      await this.#revive(pictures);
    const read = async (): Promise<Metrics> => {
      const values: Metrics = {};
      for (const [name, tensor] of Object.entries(scalars)) values[name] = await tensor.item();
      for (const tensor of new Set(Object.values(scalars))) tensor.dispose();
      return { ...values, learning_rate: lr, codes_used: used, code_perplexity: perplexity };
    };
    for (const tensor of Object.values(scalars)) tensor.keep();
    return { metrics: read(), images: pictures.length };
  }

  parts(): Record<string, StateDict> {
    return {
      model: this.#vq.stateDict(),
      optimizer: this.#optimizer.stateDict(),
      ...(this.#ema && { ema: this.#ema.stateDict(this.#vq) }),
      ...(this.#adversary && {
        discriminator: this.#adversary.discriminator.stateDict(),
        discriminator_optimizer: this.#adversary.optimizer.stateDict(),
      }),
    };
  }

  async state(): Promise<Record<string, unknown>> {
    const updates = this.#ema?.updates ?? 0;
    return {
      rng: this.#rng.state(),
      positions: await this.#group.allGather(this.#position),
      usage: Array.from(this.#usage),
      ema_updates: updates,
    };
  }

  async restore(parts: Record<string, StateDict>, state: Record<string, unknown>): Promise<void> {
    await this.#vq.loadStateDict(partOf(parts, 'model'));
    await this.#optimizer.loadStateDict(partOf(parts, 'optimizer'));
    if (this.#ema) {
      await this.#ema.loadStateDict(this.#vq, partOf(parts, 'ema'));
      this.#ema.updates = state.ema_updates as number;
    }
    if (this.#adversary) {
      await this.#adversary.discriminator.loadStateDict(partOf(parts, 'discriminator'));
      await this.#adversary.optimizer.loadStateDict(partOf(parts, 'discriminator_optimizer'));
    }
    this.#rng.counter = Rng.from(state.rng as ReturnType<Rng['state']>).counter;
    const positions = state.positions as DataPosition[];
    const { rank, size } = this.#group;
    // Other shares than before: what is left of the epoch cannot be told from what was seen.
    const next = { epoch: Math.max(...positions.map(({ epoch }) => epoch)) + 1, index: 0 };
    this.#position = positions.length === size ? positions[rank] : next;
    this.#usage = Uint32Array.from(state.usage as number[]);
  }

  /** Pictures above their reconstructions. */
  async evaluate(): Promise<{ pictures: Record<string, RgbaImage>; metrics: Metrics }> {
    const pixels: Uint8Array[] = [];
    for await (const { example } of this.#held.examples()) {
      pixels.push(example.pixels);
      if (pixels.length === shown) break;
    }
    const run = async () => {
      using image = batchTensor(this.device, pixels, this.#config.data.size).keep();
      this.#vq.eval();
      const { decoded, indices } = reconstruct(this.#vq, image);
      this.#vq.train();
      const pair = [await imagesFromTensor(image), await imagesFromTensor(decoded)];
      decoded.dispose();
      indices.dispose();
      return pair;
    };
    const [originals, again] = await (this.#ema ? this.#ema.use(run) : run());
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    const rows =
      originals.length > 8
        ? [0, 8].flatMap((i) => [...originals.slice(i, i + 8), ...again.slice(i, i + 8)])
        : [...originals, ...again];
    return {
      pictures: { reconstructions: contactSheet(rows, { columns: Math.min(8, originals.length) }) },
      metrics: {
        psnr: mean(originals.map((image, i) => psnr(image, again[i]))),
        ssim: mean(originals.map((image, i) => ssim(image, again[i]))),
      },
    };
  }

  async firstDifference(): Promise<string | null> {
    const name = await firstDifference(this.#group, this.#optimizer);
    if (name !== null || !this.#adversary) return name;
    const other = await firstDifference(this.#group, this.#adversary.optimizer);
    return other && `discriminator.${other}`;
  }

  findNonFinite(step: number): Promise<string | null> {
    const pictures = this.#recent.get(step) ?? [];
    return whereNonFinite(trainable(this.#vq), () => {
      const image = batchTensor(this.device, pictures, this.#config.data.size);
      const { quantized, loss } = this.#vq.encode(image);
      this.#vq.decode(quantized).sub(image).square().mean().add(loss).backward();
    });
  }

  async export(folder: string): Promise<void> {
    const state = this.#ema ? this.#ema.stateDict(this.#vq) : this.#vq.stateDict();
    const weights = await exportWeights(folder, 'vqgan.safetensors', state);
    await writeCard(folder, { format: 'paella-vqgan/1', vqgan: { weights, config: this.#config.model } });
  }

  /** Learns from pictures, together with the other processes. */
  async #learn(pictures: readonly Uint8Array[], adversary: Adversary | null) {
    const { loss: weights, training, data } = this.#config;
    const { grad_clip: gradClip } = training;
    const discriminator = adversary?.discriminator;
    // Sums over processes are then means.
    const accumulate = this.#group.size;
    // Gradients are f32, so a loss of about 1 needs no scale.
    const cast = <T>(pass: () => T): T => (training.precision === 'mixed' ? autocast(pass) : pass());
    using image = batchTensor(this.device, pictures, data.size).keep();
    const learn = () => vqganGradients(this.#vq, image, { weights, discriminator, accumulate });
    const { decoded, adversarial, ...terms } = cast(() => this.#sum.during(learn));
    using fake = decoded.keep();
    await this.#sum.finish();
    const grad_norm = optimizerStep(this.#optimizer, { gradClip });
    const { codebook: quantisation, ...others } = terms;
    const result = { ...others, quantisation, grad_norm };
    if (!adversary || !adversarial) return result;
    const pair = { real: image, fake };
    const judge = () => discriminatorGradients(adversary.discriminator, pair, { accumulate });
    const loss = cast(() => adversary.sum.during(judge));
    await adversary.sum.finish();
    optimizerStep(adversary.optimizer, { gradClip }).dispose();
    const { generator, weight } = adversarial;
    return { ...result, generator, discriminator: loss, adversarial_weight: weight };
  }

  /** Counts the codes of a batch, and disposes of it. */
  async #count(indices: Tensor): Promise<void> {
    const counts = new Uint32Array(this.#usage.length);
    for (const index of await indices.data()) counts[index]++;
    indices.dispose();
    await this.#group.allReduce(counts);
    counts.forEach((count, code) => (this.#usage[code] += count));
  }

  async #nextPictures(): Promise<Uint8Array[]> {
    this.#examples ??= this.#data.examples(this.#position, { repeat: true });
    const pictures: Uint8Array[] = [];
    while (pictures.length < this.#config.training.batch_size) {
      const { value } = await this.#examples.next();
      if (!value) break;
      pictures.push(value.example.pixels);
      this.#position = value.next;
    }
    return pictures;
  }

  /** Latents of pictures as rows of numbers. */
  async #latents(pictures: readonly Uint8Array[]): Promise<number[][]> {
    const latents = scope(() =>
      latentsOf(this.#vq, batchTensor(this.device, pictures, this.#config.data.size)),
    );
    const values = await latents.data();
    latents.dispose();
    const width = this.#config.model.c_latent;
    return Array.from({ length: values.length / width }, (_, i) =>
      Array.from(values.slice(i * width, (i + 1) * width)),
    );
  }

  /** Sets codes that nothing was quantised to since the last time to latents of the first process's pictures. */
  async #revive(pictures: readonly Uint8Array[]): Promise<void> {
    const dead = [...this.#usage.keys()].filter((code) => this.#usage[code] === 0);
    this.#usage.fill(0);
    if (dead.length === 0) return;
    const codebook = this.#vq.vquantizer.codebook.weight;
    const codes = await codebook.save();
    if (this.#group.rank === 0) {
      this.#vq.eval(); // must not move the running statistics
      const latents = await this.#latents(pictures);
      this.#vq.train();
      const width = this.#config.model.c_latent;
      const numbers = this.#rng.uniformArray(dead.length);
      dead.forEach((code, i) => codes.set(latents[Math.floor(numbers[i] * latents.length)], code * width));
    }
    codebook.load(await this.#group.broadcast(codes));
  }
}

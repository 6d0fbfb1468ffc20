import {
  Device,
  type DeviceInfo,
  PaellaError,
  Rng,
  type StateDict,
  byteCount,
  type nn,
  noGrad,
  scope,
} from '@paella/tensor';
import type { Model, ModelPart, PartName } from './model.js';
import { Residents } from './residents.js';
import { samplePrior } from './prior/diffuzz.js';
import { sample } from './sample.js';
import type { ConditionInputs } from './unet/condition.js';

export interface MemoryPlanOptions {
  /** The adapter to plan for: its limits, and the kernels that it gets. */
  adapter: DeviceInfo;
  dtype?: 'f32' | 'f16';
  /** Width and height in pixels; the model's own by default. */
  size?: readonly [number, number];
  /** Pictures drawn at once. */
  count?: number;
  /** Tokens of the prompt, 64 by default: a byte each for ByT5. */
  promptTokens?: number;
}

/** What one network takes. */
export interface PartMemory {
  part: PartName;
  parameters: number;
  /** Bytes of its tensors in the checkpoint; others in the same file are not read. */
  diskBytes: number;
  /** Its weights on the device. */
  deviceBytes: number;
  /** The largest buffer among them. */
  largestBuffer: number;
}

/** The most that the device holds during one step of the way to a picture. */
export interface StageMemory {
  stage: 'reading the prompt' | 'reading it with CLIP' | 'imagining a picture' | 'drawing' | 'decoding';
  part: PartName;
  /** With all networks staying on the device. */
  resident: number;
  /** With one large network at a time. */
  lowMemory: number;
  /** Why this adapter cannot do it, if it cannot. */
  problem?: string;
}

/** What drawing with a model takes, in bytes. */
export interface MemoryPlan {
  parts: PartMemory[];
  stages: StageMemory[];
  /** The most that the device ever holds. */
  peak: { resident: number; lowMemory: number };
  /** The most that the host holds of the weights on their way, whatever their number. */
  hostBytes: number;
  diskBytes: number;
  /** The largest buffer that the adapter allows. */
  allowedBuffer: number;
}

/** What uploads wait in before the device takes them. See `Module.loadStateDict`. */
const UPLOADS = 64 << 20;

/**
 * What it takes to draw pictures with a model, found by going the whole way on the meta device, which has shapes and no
 * values: of the checkpoints only headers are read.
 *
 * @throws PaellaError `not-found`, `format` or `state-dict` if a checkpoint is missing or does not fit
 */
export async function planMemory(model: Model, options: MemoryPlanOptions): Promise<MemoryPlan> {
  const parts = new Map<PartName, PartMemory>();
  const host = { bytes: 0 };
  const resident = await rehearse(model, options, { lowMemory: false, parts, host });
  const lowMemory = await rehearse(model, options, { lowMemory: true, parts, host });
  const all = [...parts.values()];
  const { maxStorageBufferBindingSize = Infinity, maxBufferSize = Infinity } = options.adapter.limits;
  return {
    parts: all,
    stages: resident.map(({ bytes, ...stage }, i) => ({
      ...stage,
      resident: bytes,
      lowMemory: lowMemory[i].bytes,
    })),
    peak: { resident: peakOf(resident), lowMemory: peakOf(lowMemory) },
    hostBytes: host.bytes + UPLOADS,
    diskBytes: all.reduce((sum, { diskBytes }) => sum + diskBytes, 0),
    allowedBuffer: Math.min(maxStorageBufferBindingSize, maxBufferSize),
  };
}

interface StagePeak extends Pick<StageMemory, 'stage' | 'part' | 'problem'> {
  bytes: number;
}

const peakOf = (stages: readonly StagePeak[]): number => Math.max(...stages.map(({ bytes }) => bytes));

interface Rehearsal {
  lowMemory: boolean;
  /** What is found out about the parts. */
  parts: Map<PartName, PartMemory>;
  host: { bytes: number };
}

/** Loads and runs what a {@link Pipeline} does for a prompt, in its order. */
async function rehearse(
  model: Model,
  { adapter, dtype, size = model.imageSize, count = 1, promptTokens = 64 }: MemoryPlanOptions,
  rehearsal: Rehearsal,
): Promise<StagePeak[]> {
  const device = await Device.create({ adapter: 'meta', like: adapter });
  const residents = new Residents(device, { dtype, lowMemory: rehearsal.lowMemory });
  const [width, height] = size.map((side) => side / model.factor);
  const unet = withoutValues(model.unet, rehearsal);
  const vqgan = withoutValues(model.vqgan, rehearsal);
  const text = model.text.kind === 'byt5' ? withoutValues(model.text.part, rehearsal) : null;
  const stages: StagePeak[] = [];
  const measure = async (at: Pick<StagePeak, 'stage' | 'part'>, work: () => Promise<void>): Promise<void> => {
    let problem: string | undefined;
    device.resetPeak();
    try {
      await scope(work);
    } catch (error) {
      if (!(error instanceof PaellaError) || error.code !== 'limits') throw error;
      problem = error.message;
    }
    stages.push({ ...at, bytes: device.memory().peakBytes, ...(problem && { problem }) });
  };

  if (!rehearsal.lowMemory) for (const part of [unet, vqgan, text]) if (part) await preload(residents, part);
  if (text) {
    await measure({ stage: 'reading the prompt', part: text.name }, async () => {
      const encoder = await residents.get(text);
      noGrad(() => encoder.forward(device.empty([1, promptTokens], 'u32')));
    });
  }
  if (model.clipText) {
    const part = withoutValues(model.clipText.part, rehearsal);
    await measure({ stage: 'reading it with CLIP', part: part.name }, async () => {
      const clip = await residents.get(part);
      const length = clip.config.text_cfg?.context_length ?? 1;
      noGrad(() => clip.encodeText([Uint32Array.from({ length }, (_, i) => i)]));
    });
  }
  if (model.clipText && model.prior) {
    const part = withoutValues(model.prior, rehearsal);
    await measure({ stage: 'imagining a picture', part: part.name }, async () => {
      const prior = await residents.get(part);
      const texts = device.empty([count, prior.config.clip_r]);
      await samplePrior(prior, texts, { rng: new Rng(0).forEntries(), timesteps: 2 });
    });
  }
  await measure({ stage: 'drawing', part: unet.name }, async () => {
    const { config } = await residents.get(unet);
    const vector = () => device.empty([1, config.clip_embd]);
    const condition = (length: number): ConditionInputs => ({
      byt5: device.empty([1, length, config.byt5_embd]),
      clip: model.clipText && vector(),
      clipImage: model.clipText && model.prior && length > 1 ? vector() : undefined,
    });
    await residents.get(vqgan);
    await sample(await residents.get(unet), new Array<ConditionInputs>(count).fill(condition(promptTokens)), {
      uncond: condition(1),
      shape: [count, height, width],
      rng: new Rng(0).forEntries(),
      steps: 2,
    });
  });
  await measure({ stage: 'decoding', part: vqgan.name }, async () => {
    const decoder = await residents.get(vqgan);
    noGrad(() => decoder.decodeIndices(device.empty([count, height, width], 'u32')));
  });
  return stages;
}

/** As `Pipeline.load` does; what does not fit is met again by the stage that needs it. */
async function preload(residents: Residents, part: ModelPart): Promise<void> {
  await residents.get(part).catch((error: unknown) => {
    if (!(error instanceof PaellaError) || error.code !== 'limits') throw error;
  });
}

/**
 * The part with its checkpoint's names and shapes, and zeros in the place of values. The meta device gives modules their
 * buffers when they are built: those are taken back, so that loading is what it is on a device.
 */
function withoutValues<T extends nn.Module>(part: ModelPart<T>, { parts, host }: Rehearsal): ModelPart<T> {
  const found: PartMemory = {
    part: part.name,
    parameters: 0,
    diskBytes: 0,
    deviceBytes: 0,
    largestBuffer: 0,
  };
  let built: T;
  return {
    name: part.name,
    build(device) {
      built = part.build(device);
      built.dispose();
      device.trim();
      device.resetPeak();
      return built;
    },
    async state() {
      const state = await part.state();
      found.diskBytes = 0;
      return {
        ...state,
        get(key) {
          const info = state.info(key);
          const elements = info.shape.reduce((a, b) => a * b, 1);
          const stored = byteCount(info);
          found.diskBytes += stored;
          // The bytes of the file, and the numbers that they are widened to.
          host.bytes = Math.max(host.bytes, info.dtype === 'f32' ? stored : stored + 4 * elements);
          return Promise.resolve({ ...info, data: zeros(elements) });
        },
        async close() {
          describeWeights(built, found);
          parts.set(part.name, found);
          await state.close?.();
        },
      } satisfies StateDict;
    },
  };
}

function describeWeights(module: nn.Module, found: PartMemory): void {
  const weights = module.namedParameters().map(([, parameter]) => parameter);
  found.parameters = weights.reduce((sum, { size, isBuffer }) => sum + (isBuffer ? 0 : size), 0);
  found.deviceBytes = weights.reduce((sum, { bytes }) => sum + bytes, 0);
  found.largestBuffer = Math.max(...weights.map(({ largestBuffer }) => largestBuffer));
}

/** One array serves all: the meta device never looks at it. */
let nothing = new Float32Array(0);
export function zeros(length: number): Float32Array<ArrayBuffer> {
  if (nothing.length < length) nothing = new Float32Array(length);
  return nothing.subarray(0, length);
}

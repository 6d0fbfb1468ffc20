import { type Capabilities, type Launch, planFill } from '@paella/kernels';
import { openAdapter } from '#platform';
import { type DType, bytesOf, encode, sizeOf } from '../dtype.js';
import { PaellaError } from '../errors.js';
import { scope } from '../scope.js';
import { Tensor } from '../tensor.js';
import { type DeviceBuffer, type Executor, type Stats, emptyStats } from './executor.js';
import { GpuExecutor } from './gpu-executor.js';
import { MetaExecutor } from './meta-executor.js';
import { BufferPool, type MemoryUse } from './pool.js';
import { type KernelProfile, byKernel } from './profiler.js';
import type { TunedChoice, Tuner } from './tuner.js';
import { type Tuning, loadTuning, saveTuning, tuningName } from './tuning.js';

export interface DeviceOptions {
  /**
   * `'auto'` (a GPU if there is one, else the fastest software adapter), `'gpu'`, `'software'`, part of
   * an adapter's name, or `'meta'` for a device that computes shapes, memory and cost but no values.
   */
  adapter?: string;
  /**
   * In Node: which of several adapters of different names that fit the request equally well, from 0; it goes round. For
   * processes of one host that each take their own.
   */
  ordinal?: number;
  /**
   * Ask for no feature, and no limit above those that WebGPU guarantees everywhere: what runs on such a
   * device runs on every one.
   */
  baseline?: boolean;
  /** Use what {@link Device.tune} found on this adapter, in this or an earlier process. True by default. */
  tuned?: boolean;
  /** What the meta device pretends to be: kernels are chosen by features and limits. */
  like?: DeviceInfo;
}

export interface DeviceInfo {
  name: string;
  vendor: string;
  architecture: string;
  isSoftware: boolean;
  features: string[];
  limits: Record<string, number>;
  /** See `Capabilities` of `@paella/kernels`, as for the next. */
  subgroupSize: number;
  matrixSubgroup: number;
}

/** The WebGPU limits the engine looks at, at their guaranteed values. */
const BASELINE_LIMITS = {
  maxBufferSize: 256 << 20,
  maxStorageBufferBindingSize: 128 << 20,
  maxComputeWorkgroupsPerDimension: 65535,
};

const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix';
/** Optional features that some kernel or the profiler can use. */
const WANTED_FEATURES = ['shader-f16', 'subgroups', SUBGROUP_MATRIX, 'timestamp-query'];

const META: DeviceInfo = {
  name: 'meta',
  vendor: '',
  architecture: '',
  isSoftware: false,
  features: [],
  limits: { ...BASELINE_LIMITS, maxBufferSize: Infinity, maxStorageBufferBindingSize: Infinity },
  subgroupSize: 0,
  matrixSubgroup: 0,
};

/** Of each variant while tuning: one to compile it, and as many as it takes for the least to mean something. */
const RUNS_PER_VARIANT = 4;

/** A WebGPU device, or the meta device: makes tensors, runs kernels, accounts for memory. */
export class Device {
  readonly info: DeviceInfo;
  readonly capabilities: Capabilities;
  readonly isMeta: boolean;
  readonly #executor: Executor;
  readonly #pool: BufferPool;
  readonly #stats: Stats = emptyStats();
  #liveTensors = 0;
  #none: DeviceBuffer | null = null;
  /** Compilations started, while {@link warmUp} runs. */
  #warmUp: Promise<void>[] | null = null;
  #tuning: Tuning = new Map();
  /** Where the tuning is kept; null on the meta device. */
  #tuningName: string | null = null;
  /** Sees every launch, while {@link tune} runs. */
  #tuner: Tuner | null = null;

  /** @param onPipeline for the meta device: called with the first launch of each pipeline */
  private constructor(info: DeviceInfo, gpu: GPUDevice | null, onPipeline?: (launch: Launch) => void) {
    this.info = info;
    this.isMeta = gpu === null;
    this.capabilities = {
      isSoftware: info.isSoftware,
      maxWorkgroupsPerDimension: info.limits.maxComputeWorkgroupsPerDimension,
      subgroups: info.features.includes('subgroups'),
      subgroupSize: info.subgroupSize,
      matrixSubgroup: info.matrixSubgroup,
    };
    this.#executor = gpu
      ? new GpuExecutor(gpu, this.#stats, info)
      : new MetaExecutor(this.#stats, onPipeline);
    this.#pool = new BufferPool(
      (bytes) => this.#executor.createBuffer(bytes),
      (buffer) => this.#executor.destroyBuffer(buffer),
    );
  }

  /**
   * Opens an adapter, asking for every limit it offers.
   *
   * @throws PaellaError `no-adapter` if none fits the request; `doctor` of the command line says why
   */
  static async create({
    adapter = 'auto',
    ordinal = 0,
    baseline = false,
    tuned = true,
    like = META,
  }: DeviceOptions = {}): Promise<Device> {
    if (adapter === 'meta') return new Device(like, null);
    const opened = await openAdapter(adapter, ordinal);
    const { adapter: gpuAdapter, summary, languageFeatures } = opened;
    const features = baseline ? [] : WANTED_FEATURES.filter((name) => gpuAdapter.features.has(name));
    const gpu = await opened.requestDevice({
      requiredLimits: baseline ? {} : limitsOf(gpuAdapter),
      requiredFeatures: features as GPUFeatureName[],
    });
    const { name, vendor, architecture, isSoftware } = summary;
    // A Dawn without this has older forms of the matrices' functions.
    const matrices = features.includes(SUBGROUP_MATRIX) && languageFeatures.has('subgroup_id');
    const matrixSubgroup = matrices ? matrixSubgroupOf(gpuAdapter.info) : 0;
    const limits = limitsOf(gpu);
    const { subgroupMinSize = 0, subgroupMaxSize } = gpuAdapter.info;
    const equal = features.includes('subgroups') && subgroupMinSize === subgroupMaxSize;
    const subgroupSize = equal ? subgroupMinSize : 0;
    const about = { name, vendor, architecture, isSoftware, features, limits, subgroupSize, matrixSubgroup };
    const device = new Device(about, gpu);
    device.#tuningName = tuningName({ ...about, driver: gpuAdapter.info.description });
    if (tuned) device.#setTuning(await loadTuning(device.#tuningName));
    return device;
  }

  /**
   * A tensor of given values, in row-major order.
   *
   * @param shape defaults to one dimension holding all of `data`
   * @param options.dtype defaults to the type of the array, f32 for plain numbers
   * @param options.requiresGrad makes it a leaf whose gradient backward passes compute
   */
  tensor(
    data: ArrayLike<number>,
    shape: readonly number[] = [data.length],
    { dtype = dtypeOf(data), requiresGrad = false }: { dtype?: DType; requiresGrad?: boolean } = {},
  ): Tensor {
    if (sizeOf(shape) !== data.length) {
      throw new PaellaError('shape', `shape [${shape.join(',')}] does not hold ${data.length} numbers`);
    }
    const tensor = this.empty(shape, dtype);
    this.#executor.upload(tensor.buffer, encode(dtype, data));
    tensor.requiresGrad = requiresGrad;
    return tensor;
  }

  /** A tensor whose values are unspecified until a kernel writes them. */
  empty(shape: readonly number[], dtype: DType = 'f32'): Tensor {
    return new Tensor(this, shape, dtype, this.#acquire(sizeOf(shape) * bytesOf(dtype), shape));
  }

  /** @internal Runs `fn`, whose tensors will stay: none holds on to a buffer that is larger than it has to be. */
  forGood<T>(fn: () => T): T {
    const { isExact } = this.#pool;
    this.#pool.isExact = true;
    try {
      return fn();
    } finally {
      this.#pool.isExact = isExact;
    }
  }

  /** @internal Another shape of equal size over the memory of `x`; use `x.reshape(…)`. */
  view(x: Tensor, shape: readonly number[]): Tensor {
    return new Tensor(this, shape, x.dtype, x);
  }

  /**
   * @internal A part of the memory of `whole`, which lives as long as the part does.
   *
   * @param offset in elements; a multiple of {@link partAlignment}
   */
  part(whole: Tensor, offset: number, shape: readonly number[]): Tensor {
    const bytes = bytesOf(whole.dtype);
    const buffer = this.#executor.partOf(whole.buffer, offset * bytes, sizeOf(shape) * bytes);
    return new Tensor(this, shape, whole.dtype, buffer, whole.alias());
  }

  /** @internal Replaces the values of an f32 tensor, in its place in the order of everything recorded. */
  write(x: Tensor, values: Float32Array): void {
    this.#executor.upload(x.buffer, encode(x.dtype, values));
    x.overwritten();
  }

  /** @internal Where parts of a tensor of 4-byte elements may begin, in elements. */
  get partAlignment(): number {
    return (this.info.limits.minStorageBufferOffsetAlignment ?? 256) / 4;
  }

  full(shape: readonly number[], value: number, { dtype = 'f32' }: { dtype?: DType } = {}): Tensor {
    if (dtype === 'f16') return this.tensor(new Float64Array(sizeOf(shape)).fill(value), shape, { dtype });
    const tensor = this.empty(shape, dtype);
    const [bits] = new Uint32Array(encode(dtype, [value]).buffer);
    if (tensor.size > 0) this.run(planFill(bits, tensor.size, this.capabilities), [tensor]);
    return tensor;
  }

  zeros(shape: readonly number[], options?: { dtype?: DType }): Tensor {
    return this.full(shape, 0, options);
  }

  ones(shape: readonly number[], options?: { dtype?: DType }): Tensor {
    return this.full(shape, 1, options);
  }

  /** `start, start + step, …` below `end`, as `[n]`. */
  arange(start: number, end: number, step = 1, options?: { dtype?: DType }): Tensor {
    const values = Array.from(
      { length: Math.max(0, Math.ceil((end - start) / step)) },
      (_, i) => start + i * step,
    );
    return this.tensor(values, [values.length], options);
  }

  /**
   * Records a launch. Buffers are bound in the order of the kernel's bindings; `null` stands for an
   * optional operand that this launch does not use.
   */
  run(launch: Launch, operands: readonly (Tensor | null)[]): void {
    this.#tuner?.count(launch);
    if (this.#warmUp) {
      const compiled = this.#executor.compile(launch);
      compiled.catch(() => {}); // heard by whoever waits for the warm-up, unless what it runs throws before
      this.#warmUp.push(compiled);
      return;
    }
    const buffers = operands.map((operand) => (operand ? this.#bufferOf(operand) : this.#unused()));
    this.#executor.dispatch(launch, buffers);
  }

  /**
   * Compiles the pipelines that `fn` would use, in parallel, without running a kernel: the results of
   * operations inside are unspecified, and what is made inside is freed.
   *
   * @param onProgress called with the number of pipelines ready, and how many there are
   */
  async warmUp(fn: () => void, onProgress?: (done: number, total: number) => void): Promise<void> {
    const compiling: Promise<void>[] = [];
    this.#warmUp = compiling;
    try {
      scope(() => {
        fn();
      });
    } finally {
      this.#warmUp = null;
    }
    let done = 0;
    await Promise.all(compiling.map((one) => one.then(() => onProgress?.(++done, compiling.length))));
  }

  /**
   * A meta device whose kernels are this one's, and compile here when they are first used there. So pipelines are
   * ready by the time that a model's weights are: run it on the rehearsal while they load.
   */
  rehearsal(): Device {
    const rehearsal = new Device(this.info, null, (launch) => {
      // Whoever needs the pipeline hears of it if it does not compile.
      this.#executor.compile(launch).catch(() => {});
    });
    rehearsal.#setTuning(this.#tuning);
    return rehearsal;
  }

  /** Resolves when everything recorded so far is on the device's queue. */
  flush(): Promise<void> {
    return this.#executor.flush();
  }

  /** Resolves when everything recorded so far has been computed. */
  synchronize(): Promise<void> {
    return this.#executor.synchronize();
  }

  /**
   * Time on the device of every kernel that `work` runs, by timestamp queries. Each dispatch gets a pass of
   * its own, so the whole takes somewhat longer than unmeasured.
   *
   * @throws PaellaError `unsupported` without the feature `timestamp-query`
   */
  async profile(work: () => Promise<void>): Promise<KernelProfile[]> {
    return byKernel(await this.#executor.profile(work));
  }

  /**
   * Where several kernels compute the same, measures which one is the fastest for the shapes that `work` uses, and
   * takes it from now on, here and on later devices of this adapter: the choices are kept in the user's cache folder,
   * or in IndexedDB. Results change by no more than rounding. Nothing else may use the device meanwhile.
   *
   * @param work runs several times; always the same operations
   * @param options.onProgress called with the runs that are done, of how many
   * @returns what was measured; empty where planners have no choice
   * @throws PaellaError `unsupported` without the feature `timestamp-query`
   */
  async tune(
    work: () => Promise<void>,
    { onProgress }: { onProgress?: (done: number, total: number) => void } = {},
  ): Promise<TunedChoice[]> {
    const { Tuner } = await import('./tuner.js');
    const tuner = new Tuner();
    this.#tuner = tuner;
    this.capabilities.choose = tuner.choose;
    try {
      // The first run of a round compiles; the first of all also tells how many rounds there are.
      for (let run = 0; run < RUNS_PER_VARIANT * Math.max(1, tuner.rounds); run++) {
        tuner.begin(Math.floor(run / RUNS_PER_VARIANT));
        const samples = await this.#executor.profile(work);
        if (run % RUNS_PER_VARIANT > 0) tuner.end(samples);
        if (tuner.rounds === 0) break;
        onProgress?.(run + 1, RUNS_PER_VARIANT * tuner.rounds);
      }
    } finally {
      this.#tuner = null;
      this.#setTuning(this.#tuning);
    }
    const results = tuner.results();
    for (const { key, milliseconds, choice } of results) {
      const [guess] = Object.keys(milliseconds);
      if (choice === guess) this.#tuning.delete(key);
      else this.#tuning.set(key, choice);
    }
    this.#setTuning(this.#tuning);
    if (this.#tuningName) await saveTuning(this.#tuningName, this.#tuning);
    return results;
  }

  /** Planners that find nothing to ask spell out no key for it. */
  #setTuning(tuning: Tuning): void {
    this.#tuning = tuning;
    this.capabilities.choose =
      tuning.size === 0
        ? undefined
        : (key, candidates) => {
            const choice = tuning.get(key);
            return choice !== undefined && candidates.includes(choice) ? choice : candidates[0];
          };
  }

  /** @internal Reads a tensor's bytes; use `tensor.data()`. */
  read(buffer: DeviceBuffer, bytes: number): Promise<ArrayBuffer> {
    return this.#executor.read(buffer, bytes);
  }

  /** @internal The pool takes a buffer back. */
  release(buffer: DeviceBuffer): void {
    this.#pool.release(buffer);
  }

  /** @internal */
  countTensor(change: 1 | -1): void {
    this.#liveTensors += change;
  }

  memory(): MemoryUse {
    const { liveBytes, pooledBytes, peakBytes, peakLiveBytes } = this.#pool;
    return { liveBytes, pooledBytes, peakBytes, peakLiveBytes, liveTensors: this.#liveTensors };
  }

  /** Starts a new measurement of `memory().peakBytes` and `peakLiveBytes`. */
  resetPeak(): void {
    this.#pool.resetPeak();
  }

  /** Frees the buffers kept for reuse. */
  trim(): void {
    this.#pool.trim();
  }

  /** Work recorded so far: dispatches, FLOPs, bytes, pipelines, allocations. */
  stats(): Stats {
    return { ...this.#stats };
  }

  resetStats(): void {
    Object.assign(this.#stats, emptyStats());
  }

  /** The largest tensor that this adapter can hold. */
  get maxTensorBytes(): number {
    return Math.min(this.info.limits.maxStorageBufferBindingSize, this.info.limits.maxBufferSize);
  }

  /**
   * Resolves, with the error `device-lost` that everything waiting is rejected with and every later call throws, when the
   * GPU's driver or the browser took the device away, or {@link destroy} gave it back. What was on it is gone. Never
   * resolves on the meta device.
   */
  get lost(): Promise<PaellaError> {
    return this.#executor.lost;
  }

  /** Gives the device back. Tensors on it cannot be used any more. */
  destroy(): void {
    this.#executor.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  #acquire(bytes: number, shape: readonly number[]): DeviceBuffer {
    const allowed = this.maxTensorBytes;
    if (bytes > allowed) {
      const mib = (n: number) => `${(n / 2 ** 20).toFixed(0)} MiB`;
      throw new PaellaError(
        'limits',
        `a tensor [${shape.join(',')}] needs ${mib(bytes)}, ${this.info.name} allows ${mib(allowed)} a buffer`,
        { fix: 'Use a smaller batch or picture.' },
      );
    }
    return this.#pool.acquire(bytes);
  }

  #bufferOf(operand: Tensor): DeviceBuffer {
    if (operand.device !== this) {
      throw new PaellaError('argument', `the tensor ${operand.toString()} belongs to another device`, {
        fix: 'Read its values with data() and make a tensor of them on this device.',
      });
    }
    return operand.buffer;
  }

  /** WebGPU has no empty bindings: operands that are absent share one small buffer. */
  #unused(): DeviceBuffer {
    this.#none ??= this.#pool.acquire(16);
    return this.#none;
  }
}

/** As an object of its own: the limits are getters of a prototype, which a spread would miss. */
function limitsOf({ limits }: GPUAdapter | GPUDevice): Record<string, number> {
  const values: Record<string, number> = {};
  for (const name in limits) {
    const value = limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') values[name] = value;
  }
  return values;
}

/** One of the products that subgroups can compute: `M × K` times `K × N`. Not in WebGPU's types yet. */
interface MatrixConfig {
  componentType: string;
  resultComponentType: string;
  M: number;
  N: number;
  K: number;
}

/** The largest subgroup of an adapter whose subgroups multiply f32 matrices of 8 × 8, else 0. */
function matrixSubgroupOf(info: GPUAdapterInfo & { subgroupMatrixConfigs?: Iterable<MatrixConfig> }): number {
  const fits = [...(info.subgroupMatrixConfigs ?? [])].some(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === 'f32' && resultComponentType === 'f32' && M === 8 && N === 8 && K === 8,
  );
  return fits ? (info.subgroupMaxSize ?? 0) : 0;
}

function dtypeOf(data: ArrayLike<number>): DType {
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof Int32Array) return 'i32';
  return 'f32';
}

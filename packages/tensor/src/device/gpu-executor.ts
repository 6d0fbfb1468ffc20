import type { Launch } from '@paella/kernels';
import { waitFor } from '#platform';
import { PaellaError } from '../errors.js';
import { BindGroupCache } from './bind-groups.js';
import type { DeviceBuffer, Executor, Stats } from './executor.js';
import { type Pipeline, PipelineCache } from './pipelines.js';
import { Profiler, type Sample } from './profiler.js';

type Command =
  | { kind: 'dispatch'; pipeline: Pipeline; launch: Launch; buffers: readonly DeviceBuffer[] }
  | { kind: 'upload'; buffer: DeviceBuffer; data: ArrayBufferView<ArrayBuffer> }
  | { kind: 'copy'; from: DeviceBuffer; to: GPUBuffer; bytes: number };

/** Dispatches encoded together. */
const BATCH = 256;
/** The most that the parameters of one kernel take; a multiple of every adapter's alignment of offsets. */
const SLOT_BYTES = 256;
/** Recorded dispatches after which encoding starts without being asked. */
const START_AT = 64;
/** Milliseconds in which the loss of a device is told, once something has failed because of it. */
const LOSS_TOLD_WITHIN = 100;
/** A submit that runs for seconds gets a browser's GPU process killed: 50 GFLOP is well under that. */
const MAX_FLOPS_PER_SUBMIT = 50e9;

/**
 * Records commands, and encodes and submits them in order once the pipelines they need are compiled.
 *
 * Parameters of up to 256 dispatches travel in one write to one uniform buffer and have a bind group of their own
 * for every slot, so that those of operands depend on the buffers alone and are reused from step to step.
 */
export class GpuExecutor implements Executor {
  readonly #device: GPUDevice;
  readonly #stats: Stats;
  readonly #pipelines: PipelineCache;
  readonly #uniforms: GPUBuffer;
  /** Binds each slot of parameters. */
  readonly #slots: GPUBindGroup[] = [];
  /** The slots on the host. */
  readonly #params = new Uint32Array((BATCH * SLOT_BYTES) / 4);
  readonly #groups: BindGroupCache;
  readonly #staging = new Map<number, GPUBuffer[]>();
  readonly #isSoftware: boolean;
  readonly lost: Promise<PaellaError>;
  #tellLoss!: (error: PaellaError) => void;
  /** Rejects what waits for an answer of the device. */
  readonly #waiting = new Set<(error: PaellaError) => void>();
  #commands: Command[] = [];
  /** The buffers that commands not yet encoded read or write, by id. */
  readonly #awaited = new Set<number>();
  #draining: Promise<void> | null = null;
  /** Error scopes whose verdict is not in yet. */
  readonly #verdicts = new Set<Promise<void>>();
  #failure: PaellaError | null = null;
  #profiler: Profiler | null = null;
  #nextId = 0;

  /** @param options.isSoftware it computes on the processor that this code runs on */
  constructor(device: GPUDevice, stats: Stats, { isSoftware }: { isSoftware: boolean }) {
    this.#device = device;
    this.#isSoftware = isSoftware;
    this.#stats = stats;
    this.#pipelines = new PipelineCache(device, stats);
    this.#groups = new BindGroupCache(device, stats);
    this.#uniforms = device.createBuffer({
      label: 'params',
      size: this.#params.byteLength,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.lost = new Promise((resolve) => (this.#tellLoss = resolve));
    void device.lost.then(({ reason, message }) => {
      this.#lose(`the device was lost (${reason}): ${message}`);
    });
  }

  createBuffer(bytes: number): DeviceBuffer {
    this.#device.pushErrorScope('out-of-memory');
    const gpu = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    this.#popScope((message) => {
      const fix = 'Use a smaller batch or picture, or a smaller model.';
      return new PaellaError('out-of-memory', `no memory for a buffer of ${bytes} bytes: ${message}`, {
        fix,
      });
    });
    this.#stats.buffersCreated++;
    return { id: this.#nextId++, bytes, gpu };
  }

  destroyBuffer(buffer: DeviceBuffer): void {
    this.#groups.drop(buffer);
    // Commands recorded earlier may still name it.
    void this.flush().then(
      () => buffer.gpu?.destroy(),
      () => buffer.gpu?.destroy(),
    );
  }

  partOf({ id, gpu, part }: DeviceBuffer, offset: number, bytes: number): DeviceBuffer {
    // Bindings are whole vec4s.
    const padded = Math.ceil(bytes / 16) * 16;
    const start = offset + (part?.offset ?? 0);
    return { id: this.#nextId++, bytes: padded, gpu, part: { of: part?.of ?? id, offset: start } };
  }

  dispatch(launch: Launch, buffers: readonly DeviceBuffer[]): void {
    this.#throwIfFailed();
    const stats = this.#stats;
    stats.dispatches++;
    stats.flops += launch.cost.flops;
    stats.bytes += launch.cost.bytes;
    this.#commands.push({ kind: 'dispatch', pipeline: this.#pipelines.get(launch), launch, buffers });
    for (const buffer of buffers) this.#awaited.add(ownerOf(buffer));
    if (this.#commands.length >= START_AT) void this.#start();
  }

  upload(buffer: DeviceBuffer, data: ArrayBufferView<ArrayBuffer>): void {
    this.#throwIfFailed();
    this.#stats.uploadedBytes += data.byteLength;
    if (!this.#awaited.has(ownerOf(buffer))) {
      this.#write(buffer, data);
      return;
    }
    const copy = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
    this.#commands.push({ kind: 'upload', buffer, data: new Uint8Array(copy) });
  }

  async read(buffer: DeviceBuffer, bytes: number): Promise<ArrayBuffer> {
    const size = Math.ceil(bytes / 4) * 4;
    const idle = this.#staging.get(size) ?? [];
    this.#staging.set(size, idle);
    const staging =
      idle.pop() ??
      this.#device.createBuffer({
        label: 'readback',
        size,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
    this.#commands.push({ kind: 'copy', from: buffer, to: staging, bytes: size });
    this.#awaited.add(ownerOf(buffer));
    await this.flush();
    await this.#wait(staging.mapAsync(GPUMapMode.READ));
    const data = staging.getMappedRange().slice(0, bytes);
    staging.unmap();
    idle.push(staging);
    await this.#awaitVerdicts();
    return data;
  }

  async flush(): Promise<void> {
    while (this.#commands.length > 0 || this.#draining) await this.#start();
    this.#throwIfFailed();
  }

  async synchronize(): Promise<void> {
    await this.flush();
    await this.#wait(this.#device.queue.onSubmittedWorkDone());
    await this.#awaitVerdicts();
  }

  async profile(work: () => Promise<void>): Promise<Sample[]> {
    if (!this.#device.features.has('timestamp-query')) {
      throw new PaellaError('unsupported', 'this adapter has no timestamp queries to profile with');
    }
    await this.flush();
    const profiler = new Profiler(this.#device);
    this.#profiler = profiler;
    try {
      await work();
      await this.flush();
    } finally {
      this.#profiler = null;
    }
    return this.#wait(profiler.finish());
  }

  async compile(launch: Launch): Promise<void> {
    this.#throwIfFailed();
    await this.#wait(this.#pipelines.get(launch).ready);
  }

  destroy(): void {
    this.#lose('the device was destroyed');
    this.#device.destroy();
  }

  #start(): Promise<void> {
    this.#draining ??= this.#drain().finally(() => {
      this.#draining = null;
    });
    return this.#draining;
  }

  async #drain(): Promise<void> {
    while (this.#commands.length > 0) {
      const batch = this.#commands.splice(0, BATCH);
      try {
        for (const command of batch) {
          if (command.kind === 'dispatch' && !command.pipeline.compiled)
            await this.#wait(command.pipeline.ready);
        }
        this.#throwIfFailed();
        this.#device.pushErrorScope('validation');
        this.#encode(batch);
        this.#popScope((message) => new PaellaError('validation', `WebGPU refused a command: ${message}`));
      } catch (error) {
        this.#fail(
          error instanceof PaellaError
            ? error
            : new PaellaError('validation', 'encoding a command failed', { cause: error }),
        );
        this.#commands = [];
      }
    }
    this.#awaited.clear();
  }

  #encode(batch: readonly Command[]): void {
    this.#writeParams(batch);
    let encoder: GPUCommandEncoder | null = null;
    let pass: GPUComputePassEncoder | null = null;
    let current: Pipeline | null = null;
    let flops = 0;
    let hasReads = false;
    const endPass = () => {
      pass?.end();
      pass = null;
      current = null;
    };
    const submit = () => {
      endPass();
      if (encoder) {
        const collect = this.#profiler?.resolve(encoder);
        this.#device.queue.submit([encoder.finish()]);
        this.#stats.submits++;
        collect?.();
      }
      encoder = null;
      flops = 0;
      hasReads = false;
    };
    for (const [slot, command] of batch.entries()) {
      if (command.kind === 'upload') {
        submit();
        this.#write(command.buffer, command.data);
        continue;
      }
      // Whoever reads gets it when it is there, not when what follows is done too.
      if (hasReads && command.kind === 'dispatch') submit();
      encoder ??= this.#device.createCommandEncoder();
      if (command.kind === 'copy') {
        endPass();
        const { gpu, part } = command.from;
        encoder.copyBufferToBuffer(gpu!, part?.offset ?? 0, command.to, 0, command.bytes);
        hasReads = true;
        continue;
      }
      const { launch, pipeline } = command;
      if (this.#profiler) endPass();
      pass ??= encoder.beginComputePass({ timestampWrites: this.#profiler?.writes(launch) });
      if (pipeline !== current) pass.setPipeline(pipeline.compiled!);
      current = pipeline;
      pass.setBindGroup(0, this.#groups.get(pipeline, command.buffers));
      if (launch.params.length > 0) pass.setBindGroup(1, this.#slot(slot));
      pass.dispatchWorkgroups(...launch.workgroups);
      flops += launch.cost.flops;
      if (flops > MAX_FLOPS_PER_SUBMIT || this.#profiler?.isFull) submit();
    }
    submit();
  }

  /** One write for the parameters of a batch; the slot of a dispatch is its place in the batch. */
  #writeParams(batch: readonly Command[]): void {
    let end = 0;
    for (const [slot, command] of batch.entries()) {
      if (command.kind !== 'dispatch') continue;
      const { params } = command.launch;
      const start = (slot * SLOT_BYTES) / 4;
      this.#params.set(params, start);
      end = start + params.length;
    }
    if (end > 0) this.#device.queue.writeBuffer(this.#uniforms, 0, this.#params, 0, end);
  }

  /** Made once: Dawn takes twice as long to set a bind group with a dynamic offset. */
  #slot(index: number): GPUBindGroup {
    return (this.#slots[index] ??= this.#device.createBindGroup({
      label: 'params',
      layout: this.#pipelines.uniformLayout,
      entries: [
        {
          binding: 0,
          resource: { buffer: this.#uniforms, offset: index * SLOT_BYTES, size: SLOT_BYTES },
        },
      ],
    }));
  }

  #write(buffer: DeviceBuffer, data: ArrayBufferView<ArrayBuffer>): void {
    const whole = data.byteLength & ~3;
    const { queue } = this.#device;
    const start = buffer.part?.offset ?? 0;
    if (whole > 0) queue.writeBuffer(buffer.gpu!, start, data.buffer, data.byteOffset, whole);
    if (whole < data.byteLength) {
      // WebGPU writes whole words: the last half-word of an odd number of f16 values travels padded.
      const tail = new Uint8Array(4);
      tail.set(new Uint8Array(data.buffer, data.byteOffset + whole, data.byteLength - whole));
      queue.writeBuffer(buffer.gpu!, start + whole, tail);
    }
  }

  /** Closes the innermost error scope; its verdict arrives later and fails the device. */
  #popScope(describe: (message: string) => PaellaError): void {
    const verdict = this.#device.popErrorScope().then(
      (error) => {
        if (error) this.#fail(describe(error.message));
      },
      () => {}, // a lost device answers through `lost`
    );
    this.#verdicts.add(verdict);
    void verdict.then(() => this.#verdicts.delete(verdict));
  }

  /** Waits for the error scopes of everything submitted, and throws what they found. */
  async #awaitVerdicts(): Promise<void> {
    await this.#wait(Promise.all(this.#verdicts));
  }

  /**
   * Waits for an answer of the device. A device that is lost leaves some open, and gives others as if nothing had
   * happened: all of them are failures here.
   *
   * @throws PaellaError what made the device fail
   */
  async #wait<T>(answer: Promise<T>): Promise<T> {
    const orLost = new Promise<T>((resolve, reject) => {
      this.#waiting.add(reject);
      const forget = () => this.#waiting.delete(reject);
      answer.then(resolve, reject).then(forget, forget);
    });
    try {
      const value = await (this.#isSoftware ? waitFor(orLost) : orLost);
      this.#throwIfFailed();
      return value;
    } catch (cause) {
      // What a loss breaks may be told before the loss itself.
      if (!this.#failure) await Promise.race([this.lost, sleep(LOSS_TOLD_WITHIN)]);
      this.#throwIfFailed();
      if (cause instanceof PaellaError) throw cause;
      throw new PaellaError('validation', `WebGPU gave no answer: ${String(cause)}`, { cause });
    }
  }

  #lose(message: string): void {
    const fix = 'Create a new Device and load the model again.';
    const error = new PaellaError('device-lost', message, { fix });
    this.#fail(error);
    this.#tellLoss(error);
    for (const reject of this.#waiting) reject(error);
  }

  #fail(error: PaellaError): void {
    this.#failure ??= error;
  }

  /**
   * Every later call throws too: what a failed command should have written is missing, so any result might
   * be silently wrong.
   */
  #throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }
}

const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The buffer whose memory a part is of, by id. */
const ownerOf = ({ id, part }: DeviceBuffer): number => part?.of ?? id;

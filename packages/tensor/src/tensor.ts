import { type BackwardOptions, backward } from './autograd/backward.js';
import { GraphNode } from './autograd/graph.js';
import { noGrad } from './autograd/mode.js';
import type { Device } from './device/device.js';
import type { DeviceBuffer } from './device/executor.js';
import { type DType, type TensorData, bytesOf, decode, sizeOf } from './dtype.js';
import { PaellaError } from './errors.js';
import * as elementwise from './ops/elementwise.js';
import * as layout from './ops/layout.js';
import { matmul } from './ops/matmul.js';
import * as reduce from './ops/reduce.js';
import { logSoftmax, softmax } from './ops/softmax.js';
import { adopt, disown } from './scope.js';

/** A buffer and how many tensors look at it: a reshape shares it. */
interface Storage {
  readonly buffer: DeviceBuffer;
  users: number;
  /** How often it was overwritten, so that a backward pass can tell whether what it saved is still there. */
  version: number;
  /** The tensor of whose memory this is a part. */
  readonly whole: Tensor | null;
}

/**
 * A contiguous, row-major array on a device. Operations return new tensors and only record work; values
 * are computed by the time `await x.data()` returns them.
 *
 * Tensors made inside a {@link scope} are freed with it; others by `dispose()` or `using`.
 */
export class Tensor {
  readonly device: Device;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Number of elements. */
  readonly size: number;
  #storage: Storage | null;
  #node: GraphNode | null = null;
  #grad: Tensor | null = null;
  /** Memory that the gradient is written to: an optimizer keeps those of all parameters side by side. */
  #gradSlot: Tensor | null = null;

  /**
   * @internal Use `device.tensor`, `device.empty`, …
   * @param source a buffer to own, or a tensor to share
   * @param whole the tensor that owns the buffer's memory, if that is a part of it
   */
  constructor(
    device: Device,
    shape: readonly number[],
    dtype: DType,
    source: DeviceBuffer | Tensor,
    whole: Tensor | null = null,
  ) {
    this.device = device;
    this.shape = Object.freeze([...shape]);
    this.dtype = dtype;
    this.size = sizeOf(shape);
    if (source instanceof Tensor) {
      this.#storage = source.#live();
      this.#storage.users++;
    } else {
      this.#storage = { buffer: source, users: 1, version: 0, whole };
    }
    device.countTensor(1);
    adopt(this);
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Bytes of the values. */
  get bytes(): number {
    return this.size * bytesOf(this.dtype);
  }

  /** @internal Throws `disposed` if the tensor was freed. */
  get buffer(): DeviceBuffer {
    return this.#live().buffer;
  }

  get isDisposed(): boolean {
    return this.#storage === null;
  }

  /** The values in row-major order; f16 is widened. */
  async data(): Promise<TensorData> {
    return decode(this.dtype, await this.device.read(this.buffer, this.bytes));
  }

  /** The value of a tensor of one element. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new PaellaError('shape', `item() reads a tensor of one element, this one is ${this.toString()}`, {
        fix: 'Use data(), or reduce first.',
      });
    }
    return (await this.data())[0];
  }

  /** Frees the tensor; its memory returns to the device when no reshape of it is left. Safe to repeat. */
  dispose(): void {
    const storage = this.#storage;
    if (!storage) return;
    this.#storage = null;
    this.device.countTensor(-1);
    disown(this);
    this.#detachNode();
    this.zeroGrad();
    this.#gradSlot?.dispose();
    drop(storage, this.device);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Takes the tensor out of every scope: it lives until `dispose()`. */
  keep(): this {
    disown(this);
    return this;
  }

  /**
   * Whether backward passes compute the gradient of this tensor. Set it on a leaf, a tensor that no recorded
   * operation made; results of operations on it require gradients by themselves.
   *
   * @throws PaellaError `dtype` unless f32, `graph` for the result of a recorded operation
   */
  get requiresGrad(): boolean {
    return this.#node !== null;
  }

  set requiresGrad(value: boolean) {
    if (value === this.requiresGrad) return;
    if (this.#node && !this.#node.leaf) {
      throw new PaellaError(
        'graph',
        `requiresGrad can be changed on leaves, not on a result of ${this.#node.op}`,
        {
          fix: 'Use detach().',
        },
      );
    }
    if (value && this.dtype !== 'f32') {
      throw new PaellaError('dtype', `only f32 tensors have gradients, not ${this.toString()}`);
    }
    this.#detachNode();
    if (value) this.attach(new GraphNode('leaf', [], [], null, this));
  }

  /** The gradient that backward passes added up, f32 of this shape; null before the first. Only leaves have one. */
  get grad(): Tensor | null {
    return this.#grad;
  }

  /** Forgets the gradient: the next backward pass starts from nothing. */
  zeroGrad(): void {
    if (this.#grad !== this.#gradSlot) this.#grad?.dispose();
    this.#grad = null;
  }

  /**
   * Adds the gradient of this tensor with respect to every leaf that requires one to that leaf's `grad`, and frees
   * the graph.
   *
   * @param gradient of the loss with respect to this tensor; 1 by default, for a tensor of one element
   * @throws PaellaError `graph` if nothing requires a gradient, or the graph was freed; `shape` without a gradient
   *   for a tensor of several elements
   */
  backward(gradient?: Tensor, options?: BackwardOptions): void {
    backward(this, gradient, options);
  }

  /** The same values without their history: gradients do not flow through the result. */
  detach(): Tensor {
    return new Tensor(this.device, this.shape, this.dtype, this);
  }

  /** @internal The recorded operation that made this, or its leaf. */
  get node(): GraphNode | null {
    return this.#node;
  }

  /** @internal */
  attach(node: GraphNode): void {
    this.#node = node;
    node.retain();
  }

  /** @internal Another handle on the same memory, without history, that no scope frees. */
  alias(): Tensor {
    return this.detach().keep();
  }

  /** @internal How often the memory was overwritten. */
  get version(): number {
    return this.#live().version;
  }

  /** @internal Says that a kernel writes to the memory of a tensor that already had values. */
  overwritten(): void {
    this.#live().version++;
  }

  /** @internal Writes the values of another f32 tensor of this shape into this one's memory. */
  assign(values: Tensor): void {
    elementwise.accumulate(this, values, { fresh: true });
  }

  /** @internal Adds to `grad`. */
  accumulate(gradient: Tensor): void {
    if (this.#gradSlot) {
      elementwise.accumulate(this.#gradSlot, gradient, { fresh: this.#grad === null });
      this.#grad = this.#gradSlot;
      gradient.dispose();
      return;
    }
    const before = this.#grad;
    this.#grad = before ? noGrad(() => before.add(gradient)).keep() : gradient;
    if (before) {
      before.dispose();
      gradient.dispose();
    }
  }

  /**
   * @internal Moves the values into a part of a larger tensor, and later gradients into a part of another.
   *
   * @param value, gradSlot tensors of this shape, which this one takes over
   */
  moveTo(value: Tensor, gradSlot: Tensor): void {
    value.assign(this);
    const old = this.#live();
    this.#storage = value.#live();
    this.#storage.users++;
    value.dispose();
    drop(old, this.device);
    this.zeroGrad();
    this.#gradSlot?.dispose();
    this.#gradSlot = gradSlot.keep();
  }

  /** @internal Gives back a place for gradients that {@link moveTo} took over, unless there is a later one. */
  leaveGradSlot(slot: Tensor): void {
    if (this.#gradSlot !== slot) return;
    this.zeroGrad();
    slot.dispose();
    this.#gradSlot = null;
  }

  #detachNode(): void {
    this.#node?.release();
    this.#node = null;
  }

  /** Type and shape: `f32 [1,16,16,32]`. */
  toString(): string {
    return `${this.dtype} [${this.shape.join(',')}]`;
  }

  #live(): Storage {
    if (!this.#storage) {
      throw new PaellaError('disposed', `the tensor ${this.toString()} was disposed`, {
        fix: 'A scope frees what is made inside it: return the tensor from the scope, or keep() it.',
      });
    }
    return this.#storage;
  }

  // Elementwise functions of two operands: another tensor, with NumPy's broadcasting, or a number. All of
  // them throw `shape` where the shapes do not broadcast, and `dtype` for anything but f32.

  /** `this + other` */
  add(other: Tensor | number): Tensor {
    return elementwise.binary('add', this, other);
  }
  /** `this − other` */
  sub(other: Tensor | number): Tensor {
    return elementwise.binary('sub', this, other);
  }
  /** `this · other`, element by element */
  mul(other: Tensor | number): Tensor {
    return elementwise.binary('mul', this, other);
  }
  /** `this / other` */
  div(other: Tensor | number): Tensor {
    return elementwise.binary('div', this, other);
  }
  /** The larger of the two. */
  maximum(other: Tensor | number): Tensor {
    return elementwise.binary('maximum', this, other);
  }
  /** The smaller of the two. */
  minimum(other: Tensor | number): Tensor {
    return elementwise.binary('minimum', this, other);
  }
  /** `this` to the power `other`; NaN where the base is negative, as in WGSL. */
  pow(other: Tensor | number): Tensor {
    return elementwise.binary('pow', this, other);
  }

  // Elementwise functions of f32 tensors.

  neg(): Tensor {
    return elementwise.unary('neg', this);
  }
  abs(): Tensor {
    return elementwise.unary('abs', this);
  }
  exp(): Tensor {
    return elementwise.unary('exp', this);
  }
  /** Natural logarithm. */
  log(): Tensor {
    return elementwise.unary('log', this);
  }
  sqrt(): Tensor {
    return elementwise.unary('sqrt', this);
  }
  square(): Tensor {
    return elementwise.unary('square', this);
  }
  /** Accurate for arguments up to 10,000 radians, and so is `cos`. */
  sin(): Tensor {
    return elementwise.unary('sin', this);
  }
  cos(): Tensor {
    return elementwise.unary('cos', this);
  }
  tanh(): Tensor {
    return elementwise.unary('tanh', this);
  }
  sigmoid(): Tensor {
    return elementwise.unary('sigmoid', this);
  }
  relu(): Tensor {
    return elementwise.unary('relu', this);
  }
  /** `x` where positive, else `negativeSlope · x`. */
  leakyRelu(negativeSlope = 0.01): Tensor {
    return elementwise.unary('leaky_relu', this, negativeSlope);
  }
  /** `x · sigmoid(x)` */
  silu(): Tensor {
    return elementwise.unary('silu', this);
  }
  /** The exact (erf) form, or the tanh approximation. */
  gelu({ approximate = 'none' }: { approximate?: 'none' | 'tanh' } = {}): Tensor {
    return elementwise.unary(approximate === 'tanh' ? 'gelu_tanh' : 'gelu', this);
  }
  /** Limits to `[min, max]`. */
  clamp(min: number, max: number): Tensor {
    return elementwise.unary('clamp', this, min, max);
  }

  /** The same values in another type: f32 and f16 into each other, u32 into f32. */
  to(dtype: DType): Tensor {
    return elementwise.cast(this, dtype);
  }

  // Reductions over one axis, several, or all of them; `keepdim` leaves the reduced axes with length 1.

  sum(axis?: number | readonly number[], options?: reduce.ReduceOptions): Tensor {
    return reduce.reduce('sum', this, axis, options);
  }
  mean(axis?: number | readonly number[], options?: reduce.ReduceOptions): Tensor {
    return reduce.reduce('mean', this, axis, options);
  }
  max(axis?: number | readonly number[], options?: reduce.ReduceOptions): Tensor {
    return reduce.reduce('max', this, axis, options);
  }
  min(axis?: number | readonly number[], options?: reduce.ReduceOptions): Tensor {
    return reduce.reduce('min', this, axis, options);
  }
  /** Index of the first largest value along an axis, u32. */
  argmax(axis = -1): Tensor {
    return reduce.argmax(this, axis);
  }
  /** `exp(x) / Σ exp(x)` along an axis. */
  softmax(axis = -1): Tensor {
    return softmax(this, axis);
  }
  /** `x − log Σ exp(x)` along an axis. */
  logSoftmax(axis = -1): Tensor {
    return logSoftmax(this, axis);
  }

  /** `[…,m,k] × […,k,n]`, or `[…,k] × [k,n]`. */
  matmul(other: Tensor): Tensor {
    return matmul(this, other);
  }

  /** Another shape of the same size over the same memory; one length may be -1. */
  reshape(shape: readonly number[]): Tensor {
    return layout.reshape(this, shape);
  }
  /** Reorders the dimensions, as a copy: dimension i of the result is dimension `axes[i]`. */
  permute(axes: readonly number[]): Tensor {
    return layout.permute(this, axes);
  }
  /** Swaps two dimensions, the last two by default, as a copy. */
  transpose(a = -2, b = -1): Tensor {
    return layout.transpose(this, a, b);
  }
  /** Elements `start` to `end` (exclusive) along an axis; negative positions count from the end. */
  slice(axis: number, start: number, end?: number): Tensor {
    return layout.slice(this, axis, start, end);
  }
}

/** One user of a storage less; the last one gives the memory back. */
function drop(storage: Storage, device: Device): void {
  if (--storage.users > 0) return;
  if (storage.whole) storage.whole.dispose();
  else device.release(storage.buffer);
}

import { noGrad } from '../autograd/mode.js';
import type { Device } from '../device/device.js';
import { type DType, type TensorData, bytesOf, sizeOf } from '../dtype.js';
import { PaellaError } from '../errors.js';
import { permute } from '../ops/layout.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';

/**
 * How a weight is stored here, as a permutation of PyTorch's dimensions: kernels want the output channels
 * last, so that four neighbouring ones load as a vec4.
 */
const LAYOUTS = {
  same: null,
  /** `[out,in]` → `[in,out]` */
  linear: [1, 0],
  /** `[out,in,kh,kw]` → `[kh,kw,in,out]` */
  conv: [2, 3, 1, 0],
  /** `[in,out,kh,kw]` → `[kh,kw,in,out]` */
  convTranspose: [2, 3, 0, 1],
} as const;

export type Layout = keyof typeof LAYOUTS;

export interface ParameterOptions {
  layout?: Layout;
  /** A buffer in PyTorch's sense: saved with the model, not trained. */
  isBuffer?: boolean;
  /** Element type in checkpoints, where it is not f32; on the device all numbers are floats. */
  fileDType?: 'i64';
  /** A table of rows that is read by {@link Parameter.parts}: one that is larger than a buffer lies in several. */
  splits?: boolean;
}

/**
 * A named weight of a module. It has a shape from the start and a value once it is initialised or loaded,
 * so that a model can be built, listed and checked before any memory is taken.
 */
export class Parameter {
  readonly device: Device;
  /** PyTorch's shape, as in the state dict. */
  readonly shape: readonly number[];
  readonly layout: Layout;
  readonly isBuffer: boolean;
  readonly fileDType: 'f32' | 'i64';
  /** The rows of a part; all of them where one buffer holds the whole. */
  readonly #partRows: number;
  /** In the place of the value, for a table in parts. */
  #parts: readonly Tensor[] | null = null;
  #value: Tensor | null = null;
  #dtype: DType;
  #requiresGrad: boolean;

  constructor(device: Device, shape: readonly number[], options: ParameterOptions = {}) {
    this.device = device;
    this.shape = shape;
    this.layout = options.layout ?? 'same';
    this.isBuffer = options.isBuffer ?? false;
    this.fileDType = options.fileDType ?? 'f32';
    this.#dtype = 'f32';
    this.#requiresGrad = !this.isBuffer;
    const [rows = 1] = shape;
    const isLarge = options.splits && this.bytes > device.maxTensorBytes;
    this.#partRows = isLarge ? Math.floor((device.maxTensorBytes * rows) / this.bytes) : rows;
    if (!device.isMeta) return;
    if (isLarge) this.#fillParts((_, part) => device.empty(part));
    else this.value = device.forGood(() => device.empty(this.storedShape, this.dtype));
  }

  /** How the value is stored on the device. */
  get dtype(): DType {
    return this.#dtype;
  }

  /**
   * Stores the value as f16 or f32 from now on, if it is a matrix that kernels read as f16: the weight of a
   * linear layer or 1×1 convolution whose sides divide by 4. Other parameters stay f32; together they are
   * about a hundredth of a U-Net.
   */
  to(dtype: 'f32' | 'f16'): void {
    const sides = this.storedShape.slice(-2);
    const isMatrix =
      this.size === sides[0] * sides[1] && this.layout !== 'same' && this.layout !== 'convTranspose';
    if (!isMatrix || sides.some((side) => side % 4 !== 0) || this.#dtype === dtype) return;
    this.#dtype = dtype;
    if (this.#value) this.value = this.#value;
  }

  /** The shape on the device. */
  get storedShape(): readonly number[] {
    const axes = LAYOUTS[this.layout];
    return axes ? axes.map((axis) => this.shape[axis]) : this.shape;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** What the value takes on the device. */
  get bytes(): number {
    return this.size * bytesOf(this.#dtype);
  }

  /** The largest of the buffers that hold the value, in bytes. */
  get largestBuffer(): number {
    const [rows = 1] = this.shape;
    return rows === 0 ? 0 : (this.bytes / rows) * Math.min(rows, this.#partRows);
  }

  /** The value, or the consecutive rows of a table that is larger than a buffer. Throws as {@link value}. */
  get parts(): readonly Tensor[] {
    return this.#parts ?? [this.value];
  }

  /**
   * The tensor on the device, in {@link storedShape}. Throws `state-dict` before it has a value, `limits` if it lies in
   * parts.
   */
  get value(): Tensor {
    if (this.#parts) {
      const message = `a table [${this.shape.join(',')}] lies in ${this.#parts.length} buffers`;
      const fix = 'Use an adapter with larger buffers to train it.';
      throw new PaellaError('limits', message, { fix });
    }
    if (!this.#value) {
      throw new PaellaError('state-dict', `a parameter [${this.shape.join(',')}] has no value yet`, {
        fix: 'Load a state dict, or pass an rng to the constructor to initialise the model.',
      });
    }
    return this.#value;
  }

  /**
   * Takes ownership of a tensor and converts it to how the value is stored. An f32 value is overwritten in place, so
   * that an optimizer made before goes on training it.
   */
  set value(tensor: Tensor) {
    const stored = this.device.forGood(() => noGrad(() => scope(() => tensor.to(this.#dtype)).keep()));
    tensor.dispose();
    if (this.#value?.dtype === 'f32' && stored.dtype === 'f32') {
      this.#value.assign(stored);
      stored.dispose();
      return;
    }
    this.#value?.dispose();
    this.#value = stored;
    this.#applyRequiresGrad();
  }

  /**
   * Whether backward passes compute a gradient: true from the start, false for buffers. f16 values have none,
   * whatever this says. Set it to false to freeze the parameter.
   */
  get requiresGrad(): boolean {
    return this.#requiresGrad;
  }

  set requiresGrad(value: boolean) {
    this.#requiresGrad = value;
    this.#applyRequiresGrad();
  }

  /** The gradient that backward passes added up, in {@link storedShape}; null before the first. */
  get grad(): Tensor | null {
    return this.#value?.grad ?? null;
  }

  #applyRequiresGrad(): void {
    if (this.#value) this.#value.requiresGrad = this.#requiresGrad && this.#value.dtype === 'f32';
  }

  /** Sets the value from numbers in PyTorch's layout. */
  load(data: ArrayLike<number>): void {
    const [rows = 1, width] = this.shape;
    if (this.#partRows === rows) {
      this.value = this.import(data);
      return;
    }
    const values = data instanceof Float32Array ? data : Float32Array.from(data);
    this.#fillParts((first, part) =>
      this.device.tensor(values.subarray(first * width, (first + part[0]) * width), part),
    );
  }

  /** @param make the part that begins with a row */
  #fillParts(make: (first: number, shape: [rows: number, width: number]) => Tensor): void {
    const [rows, width] = this.shape;
    this.dispose();
    const count = Math.ceil(rows / this.#partRows);
    this.#parts = Array.from({ length: count }, (_, i) => {
      const first = i * this.#partRows;
      const shape: [number, number] = [Math.min(this.#partRows, rows - first), width];
      return this.device.forGood(() => make(first, shape).keep());
    });
  }

  /** The value in PyTorch's layout. */
  async save(): Promise<Float32Array<ArrayBuffer>> {
    if (!this.#parts) return (await this.export(this.value)) as Float32Array<ArrayBuffer>;
    const values = new Float32Array(this.size);
    let start = 0;
    for (const part of this.#parts) {
      values.set(await part.data(), start);
      start += part.size;
    }
    return values;
  }

  /** Values of a tensor that is stored as this parameter's is (its gradient, an average of it), in PyTorch's layout. */
  async export(stored: Tensor): Promise<TensorData> {
    const axes = LAYOUTS[this.layout];
    if (!axes) return stored.data();
    const inverse = axes.map((_, i) => axes.findIndex((axis) => axis === i));
    using given = noGrad(() => scope(() => permute(stored.to('f32'), inverse)).keep());
    return await given.data();
  }

  /** The inverse of {@link export}: a tensor in {@link storedShape} of numbers in PyTorch's layout. */
  import(data: ArrayLike<number>): Tensor {
    const axes = LAYOUTS[this.layout];
    const [rows, columns] = this.shape;
    if ((this.layout === 'linear' || this.layout === 'conv') && this.size === rows * columns) {
      const turned = this.device.isMeta ? data : transposed(data, rows, columns);
      return this.device.forGood(() => this.device.tensor(turned, this.storedShape, { dtype: 'f32' }));
    }
    return this.device.forGood(() =>
      scope(() => {
        const given = this.device.tensor(data, this.shape, { dtype: 'f32' });
        return axes ? permute(given, axes) : given;
      }),
    );
  }

  dispose(): void {
    this.#value?.dispose();
    this.#value = null;
    for (const part of this.#parts ?? []) part.dispose();
    this.#parts = null;
  }
}

/** Side of the squares that `transposed` works on: what they read and write stays in a processor's first cache. */
const SQUARE = 32;

/**
 * A matrix on its side, row by row. Most of a model's weights are matrices; on the host, where they are anyway, this takes
 * a tenth of what the copy kernel takes on software adapters, and no second buffer on the device.
 */
function transposed(data: ArrayLike<number>, rows: number, columns: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(rows * columns);
  for (let top = 0; top < rows; top += SQUARE) {
    const bottom = Math.min(rows, top + SQUARE);
    for (let left = 0; left < columns; left += SQUARE) {
      const right = Math.min(columns, left + SQUARE);
      for (let column = left; column < right; column++) {
        for (let row = top; row < bottom; row++) out[column * rows + row] = data[row * columns + column];
      }
    }
  }
  return out;
}

import { type Capabilities, type Launch, defineKernel, launch, steppedGrid } from '../kernel.js';
import linear from '../shared/linear.wgsl';
import copySource from './copy.wgsl';
import fillSource from './fill.wgsl';

const copy = defineKernel('copy', linear, 'alias Word = u32;', copySource);
const copyVec4 = defineKernel('copy_vec4', linear, 'alias Word = vec4u;', copySource);

const fillKernel = defineKernel('fill', linear, fillSource);

/** How a view walks a buffer, in elements. */
export interface Strided {
  strides: readonly number[];
  offset: number;
}

/** Two views of one shape. */
export interface CopyShape {
  shape: readonly number[];
  from: Strided;
  to: Strided;
}

export interface CopyOptions {
  /** Overrides the planner's choice, for tests and benchmarks. */
  force?: 'scalar';
}

/** The most dimensions that `copy.wgsl` walks, after folding. */
export const MAX_COPY_RANK = 6;

/**
 * Operands: x, out.
 *
 * @throws if more than six dimensions are left after folding
 */
export function planCopy(view: CopyShape, options: CopyOptions, caps: Capabilities): Launch {
  const elements = view.shape.reduce((product, length) => product * length, 1);
  const folded = foldCopy(view);
  const vec4 = options.force === 'scalar' ? null : inVec4s(folded);
  const { shape, from, to } = vec4 ?? folded;
  const rank = shape.length;
  if (rank > MAX_COPY_RANK) throw new Error(`copy: ${rank} dimensions cannot be folded to ${MAX_COPY_RANK}`);
  const pad = (values: readonly number[], fill: number) => [
    ...new Array<number>(MAX_COPY_RANK - rank).fill(fill),
    ...values,
  ];
  const lengths = pad(shape, 1);
  const fromStrides = pad(from.strides, 0);
  const toStrides = pad(to.strides, 0);
  const size = elements / (vec4 ? 4 : 1);
  const WG = 64;
  return launch(vec4 ? copyVec4 : copy, {
    constants: { WG, DEEP: rank > 4 },
    params: {
      shape: lengths.slice(2),
      from_strides: fromStrides.slice(2),
      to_strides: toStrides.slice(2),
      outer_shape: lengths.slice(0, 2),
      outer_from_strides: fromStrides.slice(0, 2),
      outer_to_strides: toStrides.slice(0, 2),
      from_offset: from.offset,
      to_offset: to.offset,
      size,
    },
    workgroups: steppedGrid(size, WG, caps),
    cost: { flops: 0, bytes: 8 * elements },
  });
}

/**
 * Drops dimensions of length 1 and joins neighbours that both views walk as one. A copy that moves nothing
 * folds to one dimension of stride 1, or to none.
 */
export function foldCopy({ shape, from, to }: CopyShape): CopyShape {
  const lengths: number[] = [];
  const fromStrides: number[] = [];
  const toStrides: number[] = [];
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] === 1) continue;
    const joins = (strides: readonly number[], inner: number) => strides[i] === inner * lengths[0];
    if (lengths.length > 0 && joins(from.strides, fromStrides[0]) && joins(to.strides, toStrides[0])) {
      lengths[0] *= shape[i];
    } else {
      lengths.unshift(shape[i]);
      fromStrides.unshift(from.strides[i]);
      toStrides.unshift(to.strides[i]);
    }
  }
  return {
    shape: lengths,
    from: { strides: fromStrides, offset: from.offset },
    to: { strides: toStrides, offset: to.offset },
  };
}

/** The same copy in units of four elements, or null where runs of four do not line up in both views. */
function inVec4s({ shape, from, to }: CopyShape): CopyShape | null {
  const last = shape.length - 1;
  const lineUp = ({ strides, offset }: Strided) =>
    strides[last] === 1 && offset % 4 === 0 && strides.every((stride, i) => i === last || stride % 4 === 0);
  if (last < 0 || shape[last] % 4 !== 0 || !lineUp(from) || !lineUp(to)) return null;
  const quarter = ({ strides, offset }: Strided): Strided => ({
    strides: strides.map((stride, i) => (i === last ? 1 : stride / 4)),
    offset: offset / 4,
  });
  return {
    shape: shape.map((length, i) => (i === last ? length / 4 : length)),
    from: quarter(from),
    to: quarter(to),
  };
}

/** Operands: out, of `size` 4-byte elements, all of which get these bits. */
export function planFill(bits: number, size: number, caps: Capabilities): Launch {
  const vec4s = Math.ceil(size / 4);
  return launch(fillKernel, {
    constants: { WG: 64 },
    params: { vec4s, bits },
    workgroups: steppedGrid(vec4s, 64, caps),
    cost: { flops: 0, bytes: 4 * size },
  });
}

/**
 * What a kernel is on the host: its WGSL, and what can be read from that WGSL (which buffers it binds,
 * which numbers it wants). Nothing here knows about devices.
 *
 * Conventions every `.wgsl` file of this package follows:
 * - `@group(0)` holds the storage buffers, numbered from 0 in the order in which the host passes them;
 * - `@group(1) @binding(0) var<uniform> params: Params` holds what varies between two launches of one
 *   pipeline: shapes, strides, scalars, random counters;
 * - `override` constants hold what is worth a pipeline of its own: an activation, whether there is a bias.
 *   A workgroup size is one of them and is named `WG`.
 */

export type Access = 'read' | 'read_write';

interface Field {
  type: 'u32' | 'i32' | 'f32';
  lanes: number;
  /** In 4-byte words. */
  offset: number;
}

/** A parsed kernel. Build it once, at module level, with {@link defineKernel}. */
export interface Kernel {
  readonly name: string;
  readonly source: string;
  readonly bindings: readonly { name: string; access: Access }[];
  readonly fields: ReadonlyMap<string, Field>;
  /** Size of the `Params` struct in 4-byte words; 0 if the kernel has none. */
  readonly paramWords: number;
}

/** Values for a kernel's `Params`, by field name; vectors as arrays. */
export type Params = Record<string, number | readonly number[]>;

/** What one dispatch costs, as the kernel's own arithmetic and traffic, each operand counted once. */
export interface Cost {
  flops: number;
  bytes: number;
}

/** One dispatch, complete but for its buffers. */
export interface Launch {
  kernel: Kernel;
  /** Values of `override` constants; part of the pipeline's identity. */
  constants: Record<string, number>;
  /** The packed `Params`. */
  params: Uint32Array;
  workgroups: [number, number, number];
  cost: Cost;
}

/** What a planner may know about the adapter. */
export interface Capabilities {
  /** A CPU runs the shaders: loads cost as much as arithmetic, barriers and workgroup memory do not pay. */
  isSoftware: boolean;
  maxWorkgroupsPerDimension: number;
  /** The feature `subgroups`: invocations that run together add up without workgroup memory. */
  subgroups: boolean;
  /** Invocations of a subgroup where all subgroups are equal, else 0. */
  subgroupSize: number;
  /** Subgroups multiply f32 matrices of 8 × 8; the number of invocations in the largest subgroup, 0 where they don't. */
  matrixSubgroup: number;
  /** Measurements that overrule the planners' own order of candidates; see {@link choose}. */
  choose?: (key: string, candidates: readonly string[]) => string;
}

/**
 * Which of several variants that compute the same to launch.
 *
 * @param family the kernel, with what changes its code: `matmul nt f16`
 * @param sizes what the best variant may depend on; sizes within a factor of about 1.4 share a choice
 * @param candidates the variants that work here, the planner's own guess first
 */
export function choose<V extends string>(
  caps: Capabilities,
  family: string,
  sizes: readonly number[],
  candidates: readonly V[],
): V {
  if (!caps.choose || candidates.length < 2) return candidates[0];
  const buckets = sizes.map((size) => 2 ** Math.round(Math.log2(size)));
  return caps.choose(`${family} ${buckets.join('×')}`, candidates) as V;
}

const BINDING = /@group\(0\)\s*@binding\((\d+)\)\s*var<storage,\s*(read|read_write)>\s*(\w+)/g;
const STRUCT = /struct\s+Params\s*\{([^}]*)\}/;
const FIELD = /^(\w+)\s*:\s*(?:vec([234])<?)?(u32|i32|f32|[uif])>?$/;
const SCALAR = { u: 'u32', i: 'i32', f: 'f32', u32: 'u32', i32: 'i32', f32: 'f32' } as const;

const defined: Kernel[] = [];

/** Tells the kernels of one version from those of another: a hash (FNV-1a, 32 bits) of all their sources. */
export function kernelsHash(): string {
  let hash = 2166136261;
  for (const { source } of defined) {
    for (let i = 0; i < source.length; i++) hash = Math.imul(hash ^ source.charCodeAt(i), 16777619);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/**
 * Parses the WGSL of a kernel.
 *
 * @param name shown in profiles and error messages
 * @param parts WGSL texts, joined in order: shared functions first, the entry point `main` last
 * @throws if bindings are not numbered 0, 1, 2, … or a `Params` field has a type this packer does not know
 */
export function defineKernel(name: string, ...parts: string[]): Kernel {
  const source = parts.join('\n');
  const bindings: { name: string; access: Access }[] = [];
  for (const [, index, access, variable] of source.matchAll(BINDING)) {
    bindings[Number(index)] = { name: variable, access: access as Access };
  }
  if (bindings.length !== Object.keys(bindings).length)
    throw new Error(`${name}: a binding number is left out`);
  const fields = new Map<string, Field>();
  let words = 0;
  const body = STRUCT.exec(source)?.[1].replace(/\/\/.*$/gm, '') ?? '';
  for (const text of body
    .split(/[,;](?![^<]*>)/)
    .map((part) => part.trim())
    .filter(Boolean)) {
    const match = FIELD.exec(text);
    if (!match) throw new Error(`${name}: cannot pack the parameter "${text}"`);
    const lanes = Number(match[2] ?? 1);
    const align = lanes === 3 ? 4 : lanes;
    const offset = Math.ceil(words / align) * align;
    fields.set(match[1], { type: SCALAR[match[3] as keyof typeof SCALAR], lanes, offset });
    words = offset + lanes;
  }
  const kernel = { name, source, bindings, fields, paramWords: Math.ceil(words / 4) * 4 };
  defined.push(kernel);
  return kernel;
}

/**
 * Packs parameters by WGSL's layout rules.
 *
 * @throws if a field is missing, unknown, or has the wrong number of lanes
 */
export function packParams(kernel: Kernel, params: Params): Uint32Array {
  const words = new Uint32Array(kernel.paramWords);
  for (const [name, { type, lanes, offset }] of kernel.fields) {
    const value = params[name];
    if (typeof value === 'number' ? lanes !== 1 : value?.length !== lanes) {
      throw new Error(`${kernel.name}: parameter ${name} wants ${lanes} numbers, got ${String(value)}`);
    }
    if (typeof value === 'number') words[offset] = type === 'f32' ? bitsOf(value) : value;
    else for (let i = 0; i < lanes; i++) words[offset + i] = type === 'f32' ? bitsOf(value[i]) : value[i];
  }
  let given = 0;
  for (const _ in params) given++;
  if (given !== kernel.fields.size) {
    const unknown = Object.keys(params).filter((name) => !kernel.fields.has(name));
    throw new Error(`${kernel.name}: no such parameter: ${unknown.join(', ')}`);
  }
  return words;
}

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** The bits of a number as f32. */
function bitsOf(value: number): number {
  float[0] = value;
  return floatBits[0];
}

/** Completes a launch. */
export function launch(
  kernel: Kernel,
  options: {
    constants?: Record<string, number | boolean>;
    params?: Params;
    workgroups: [number, number, number];
    cost: Cost;
  },
): Launch {
  // This runs for every dispatch: no entries, no copies that nobody needs.
  const constants: Record<string, number> = {};
  for (const name in options.constants) constants[name] = Number(options.constants[name]);
  return {
    kernel,
    constants,
    params: packParams(kernel, options.params ?? {}),
    workgroups: options.workgroups,
    cost: options.cost,
  };
}

/** Workgroups that keep a software adapter's threads busy to the end. */
const SOFTWARE_GROUPS = 64;

/**
 * The grid of a kernel whose invocations go on to further items (`linear_step` of `shared/linear.wgsl`). A GPU gets an
 * invocation an item; on a processor starting a workgroup takes longer than the item does.
 */
export function steppedGrid(
  items: number,
  workgroupSize: number,
  caps: Capabilities,
): [number, number, number] {
  const grid = linearGrid(items, workgroupSize, caps);
  return caps.isSoftware ? [Math.min(grid[0], SOFTWARE_GROUPS), 1, 1] : grid;
}

/**
 * Folds a one-dimensional grid into two dimensions, since a dimension holds 65,535 workgroups at most.
 * Kernels recover the index with `linear_index` of `shared/linear.wgsl`.
 *
 * @param invocations how many invocations are needed
 * @param workgroupSize how many run in one workgroup
 */
export function linearGrid(
  invocations: number,
  workgroupSize: number,
  caps: Capabilities,
): [number, number, number] {
  const groups = Math.max(1, Math.ceil(invocations / workgroupSize));
  const x = Math.min(groups, caps.maxWorkgroupsPerDimension);
  return [x, Math.ceil(groups / x), 1];
}

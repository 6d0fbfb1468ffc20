/**
 * What the cases and networks of this suite are written in: every one once, over the operations that any engine has.
 * A peer gives these operations by its own means, the best it has for each; this engine has its fused ones beside them.
 *
 * Everything is channels last. A peer whose convolutions want another order converts inside, as its users would.
 *
 * @typedef {{ shape: readonly number[], data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> }} Values
 */

/**
 * @template T the engine's tensor, or its node of a graph
 * @typedef {object} Engine
 * @property {(values: Values) => T} constant a weight: it reaches the device once, when the case is compiled
 * @property {(x: T) => readonly number[]} shapeOf
 * @property {(a: T, b: T, options?: { transposeA?: boolean, transposeB?: boolean, bias?: T }) => T} matmul of the last two
 *   axes; leading axes are equal, or absent in b; bias [n]
 * @property {(a: T, b: T | number) => T} add broadcasts, as do the next three
 * @property {(a: T, b: T | number) => T} sub
 * @property {(a: T, b: T | number) => T} mul
 * @property {(a: T, b: T | number) => T} div
 * @property {(x: T) => T} sqrt
 * @property {(x: T) => T} gelu by erf
 * @property {(x: T) => T} silu
 * @property {(x: T, axes: readonly number[]) => T} sum keeps the axes
 * @property {(x: T, axes: readonly number[]) => T} mean keeps the axes
 * @property {(x: T, eps: number) => T} layerNorm over the last axis, without weights
 * @property {(x: T) => T} softmax over the last axis
 * @property {(q: T, k: T, v: T, heads: number) => T} attention q [b,n,c], k and v [b,m,c]
 * @property {(x: T, weight: T, options: { stride?: number, padding?: number, groups?: number, bias?: T }) => T} conv2d
 *   x [b,h,w,ci], weight [kh,kw,ci/groups,co], bias [co]; groups are 1, ci, or ci/2 with co = ci/2
 * @property {(x: T, weight: T, options: { stride: number, padding: number, bias?: T }) => T} convTranspose2d
 *   x [b,h,w,ci], weight [kh,kw,ci,co], bias [co]
 * @property {(x: T) => T} padEdge x [b,h,w,c]: one more row and column on every side, each a copy of the outermost
 * @property {(xs: readonly T[], axis: number) => T} concat
 * @property {(x: T, shape: readonly number[]) => T} reshape
 * @property {(x: T, order: readonly number[]) => T} transpose
 * @property {(table: T, indices: T) => T} gather rows of table [n,c] by indices [...] u32: [...,c]
 * @property {(x: T) => T} argmax over the last axis
 * @property {(logits: T, targets: T) => T} crossEntropy logits [rows,labels], targets u32 [rows]: the mean over rows of
 *   −log softmax(logits)[target], a scalar
 */

/**
 * A network or a single operation. It may be called more than once (an eager engine calls it every time it runs).
 * @typedef {<T>(engine: Engine<T>, inputs: readonly T[]) => T} Build
 */

/**
 * One case in one engine, at its inputs, ready to be run.
 * @typedef {object} Compiled
 * @property {() => void | Promise<void>} run computes once; it may return before the device is done
 * @property {() => Promise<void>} finish resolves when all that was run is computed
 * @property {() => Promise<Float32Array>} read the numbers that the last run gave
 * @property {() => void} close frees what this case holds
 * @property {() => Promise<number>} [cpuMs] processor time so far of the process that computes, if it is not this one
 */

/**
 * @typedef {object} Peer
 * @property {string} name `tfjs`, `jax-js`, `onnxruntime`, `pytorch`
 * @property {string} version
 * @property {string} device what it computes on
 * @property {(build: Build, inputs: readonly Values[]) => Promise<Compiled>} compile
 *   throws where the engine lacks an operation: the case goes on without it, and the report says why
 * @property {(build: Build, inputs: readonly Values[], weights: readonly Values[], lr: number) => Promise<Compiled>} [train]
 *   `build` gets `[...inputs, ...weights]` and gives a scalar loss; a run takes one step of plain gradient descent on
 *   the weights, and `read` gives the loss. Absent in engines without gradients.
 * @property {() => void | Promise<void>} close
 */

// oxlint-disable-next-line unicorn/require-module-specifiers -- types alone
export {};

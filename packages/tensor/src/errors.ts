/** What went wrong, as a word that code can branch on. */
export type ErrorCode =
  | 'shape' // operands whose shapes do not fit together
  | 'dtype' // an operand of the wrong element type
  | 'argument' // any other argument outside its range
  | 'disposed' // use of a tensor that was freed
  | 'scope' // overlapping async scopes
  | 'graph' // backward without a graph, or through one that was freed or overwritten
  | 'non-finite' // a loss, gradient or weight that became infinite or no number
  | 'unsupported' // asked for something this adapter or build cannot do
  | 'no-adapter' // no WebGPU adapter fits the request
  | 'limits' // does not fit the adapter's limits
  | 'out-of-memory'
  | 'validation' // WebGPU refused a command: a bug in a kernel or its plan
  | 'device-lost'
  | 'format' // a file that is not what it should be, or is damaged
  | 'state-dict' // missing, unexpected or misshapen checkpoint entries
  | 'not-found' // a file, model or key that does not exist
  | 'drift' // weights that should be equal in all processes of a group, and are not
  | 'peer-lost' // another process of a group died, stopped answering or gave up
  | 'aborted'; // an AbortSignal fired

export interface ErrorDetails {
  /** What the reader can do about it, as an imperative sentence. */
  fix?: string;
  /** The operands, already written out: `weight [128,64,3,3]`. */
  operands?: Record<string, string>;
  cause?: unknown;
}

/** The one error class of the project. `message` already contains the operands and the fix. */
export class PaellaError extends Error {
  override readonly name = 'PaellaError';
  readonly code: ErrorCode;
  readonly fix?: string;
  readonly operands?: Record<string, string>;

  constructor(code: ErrorCode, message: string, { fix, operands, cause }: ErrorDetails = {}) {
    const list = operands && Object.entries(operands).map(([name, text]) => `${name} ${text}`);
    super(
      message + (list?.length ? ` — ${list.join(', ')}` : '') + (fix ? `. ${fix}` : ''),
      cause === undefined ? undefined : { cause },
    );
    this.code = code;
    this.fix = fix;
    this.operands = operands;
  }
}

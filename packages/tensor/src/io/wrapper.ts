import { PaellaError } from '../errors.js';
import { formatError } from './byte-source.js';
import type { PickleValue } from './pickle.js';
import type { Metadata, TensorReader } from './state-dict.js';
import { TorchTensor } from './torch-objects.js';

/**
 * Where training scripts keep the state dict, in the order of preference: the weights that the run trained
 * before their moving average.
 */
const WRAPPERS = [
  'state_dict',
  'model_state_dict',
  'model',
  'module',
  'ema_state_dict',
  'model_ema',
  'ema_model',
  'ema',
];

/** `{ model: { state_dict: … } }` exists in the wild; deeper nesting does not. */
const MAX_WRAPPERS = 2;

export interface Unwrapped {
  /** The keys that lead to the state dict, joined by dots; undefined for a flat one. */
  wrapper?: string;
  tensors: Map<string, TensorReader>;
  metadata: Metadata;
}

type Dict = Map<PickleValue, PickleValue>;

/**
 * Finds the state dict in what `torch.save` stored, and the scalars beside it.
 *
 * A dict under one of the `WRAPPERS` is taken, the first of them that holds tensors; else the object itself.
 * Numbers, texts and booleans met on the way and among the tensors become metadata; everything else beside the
 * state dict (the optimizer's state) is left out.
 *
 * @param wrapper takes the dict under this key instead.
 */
export function unwrapStateDict(name: string, root: PickleValue, wrapper?: string): Unwrapped {
  const path: string[] = [];
  const metadata: Metadata = {};
  let dict = root;
  if (!(dict instanceof Map)) {
    throw formatError(
      name,
      'it holds no dict of tensors',
      dict instanceof TorchTensor
        ? 'Save a dict with the tensor in it'
        : 'Save model.state_dict() in PyTorch',
    );
  }
  const candidates = wrapper === undefined ? WRAPPERS : [wrapper];
  for (let key = findWrapper(dict, candidates); key !== undefined; key = findWrapper(dict, WRAPPERS)) {
    addScalars(metadata, dict);
    path.push(key);
    dict = dict.get(key) as Dict;
    if (path.length === MAX_WRAPPERS) break;
  }
  if (wrapper !== undefined && path[0] !== wrapper) {
    throw new PaellaError('not-found', `${name} holds no state dict under "${wrapper}"; ${keysOf(dict)}`);
  }

  addScalars(metadata, dict);
  const tensors = new Map<string, TensorReader>();
  for (const [key, value] of dict) {
    if (!(value instanceof TorchTensor)) continue;
    if (typeof key !== 'string') throw formatError(name, `it names a tensor by a ${typeof key}, not by text`);
    tensors.set(key, value);
  }
  if (tensors.size === 0 && dict.size > 0) {
    throw formatError(
      name,
      `it holds no tensors where a state dict is looked for; ${keysOf(dict)}`,
      'Name the key of the state dict with { wrapper }',
    );
  }
  return { wrapper: path.length > 0 ? path.join('.') : undefined, tensors, metadata };
}

function findWrapper(dict: Dict, candidates: string[]): string | undefined {
  const leadsToTensors = (value: PickleValue | undefined, depth = 1): boolean =>
    value instanceof Map &&
    ([...value.values()].some((item) => item instanceof TorchTensor) ||
      (depth < MAX_WRAPPERS && WRAPPERS.some((key) => leadsToTensors(value.get(key), depth + 1))));
  return candidates.find((key) => leadsToTensors(dict.get(key)));
}

function addScalars(metadata: Metadata, dict: Dict): void {
  for (const [key, value] of dict) {
    if (typeof key !== 'string') continue;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      metadata[key] = value;
    else if (typeof value === 'bigint') metadata[key] = String(value);
  }
}

function keysOf(dict: Dict): string {
  const keys = [...dict.keys()]
    .slice(0, 12)
    .map((key) => (typeof key === 'string' ? key.slice(0, 60) : typeof key));
  return `its keys are ${keys.join(', ') || 'none'}${dict.size > 12 ? ', …' : ''}`;
}

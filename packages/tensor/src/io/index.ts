export type { StoredDtype, TypedArray } from './dtype.js';
export { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from './half.js';
export {
  inspectCheckpoint,
  loadStateDict,
  openSource,
  type CheckpointSource,
  type CheckpointSummary,
  type Container,
  type LoadOptions,
} from './load.js';
export { safetensorsBlob, saveSafetensors, type SavedTensors, type SaveOptions } from './save.js';
export {
  byteCount,
  stateDictOf,
  type Metadata,
  type NamedTensor,
  type StateDict,
  type StoredTensor,
  type TensorInfo,
} from './state-dict.js';

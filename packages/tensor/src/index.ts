export {
  environmentChecks,
  listAdapters,
  setNoticeHandler,
  type AdapterSummary,
  type Check,
} from '#platform';
export { firstNonFinite, type Anomaly } from './autograd/anomaly.js';
export { checkpoint } from './autograd/checkpoint.js';
export { grad, type BackwardOptions } from './autograd/backward.js';
export { autocast, noGrad } from './autograd/mode.js';
export { Device, type DeviceInfo, type DeviceOptions } from './device/device.js';
export type { Stats } from './device/executor.js';
export type { MemoryUse } from './device/pool.js';
export type { KernelProfile } from './device/profiler.js';
export type { TunedChoice } from './device/tuner.js';
export type { DType, TensorData } from './dtype.js';
export { PaellaError, type ErrorCode, type ErrorDetails } from './errors.js';
export * from './io/index.js';
export * as nn from './nn/index.js';
export * as ops from './ops/index.js';
export * as optim from './optim/index.js';
export { Rng, type RngState } from './random/rng.js';
export { scope } from './scope.js';
export { Tensor } from './tensor.js';

export * from './kernel.js';
export * from './attention/plan.js';
export * from './attention/grad_plan.js';
export * from './conv/grad_plan.js';
export {
  convOutputSize,
  convTransposeOutputSize,
  planConv2d,
  planConvTranspose2d,
  planSkipConv2d,
  type ConvOptions,
  type ConvShape,
  type ConvTransposeOptions,
  type ConvTransposeShape,
  type ConvVariant,
} from './conv/plan.js';
export * from './elementwise/plan.js';
export * from './embedding/plan.js';
export * from './layout/plan.js';
export * from './loss/plan.js';
export * from './matmul/plan.js';
export * from './norm/grad_plan.js';
export {
  planBatchNorm,
  planModulate,
  planMoments,
  planMomentsMerge,
  planResponseScale,
  planRowNorm,
  type BatchNormOptions,
  type NormPlanOptions,
  type RowNormOptions,
  type SampleShape,
} from './norm/plan.js';
export * from './optim/plan.js';
export * from './random/plan.js';
export * from './reduce/plan.js';
export * from './sampling/plan.js';
export * from './softmax/plan.js';
export * from './quantize/plan.js';
export * from './timestep/plan.js';
export type { Activation } from './shared/activation.js';
export type { TeamForce } from './shared/team.js';
export { hasEqualSubgroups } from './shared/subgroups.js';

export * from './kernel.js';
export * from './elementwise/plan.js';
export * from './layout/plan.js';
export * from './matmul/plan.js';
export type { Activation } from './shared/activation.js';

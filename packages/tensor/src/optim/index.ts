export { AdamW, type AdamWOptions } from './adamw.js';
export { EMA } from './ema.js';
export type { Trainable } from './flat.js';
export { Optimizer, type Group, type ParamGroup } from './optimizer.js';
export { constantSchedule, cosineSchedule, type Schedule } from './schedule.js';
export { GradScaler, type GradScalerState } from './scaler.js';
export { SGD, type SGDOptions } from './sgd.js';

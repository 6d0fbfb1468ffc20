import type { Tensor } from '@paella/tensor';

/** Classifier-free guidance (arXiv 2207.12598): `uncond + cfg·(cond − uncond)`. */
export const guide = (cond: Tensor, uncond: Tensor, cfg: number): Tensor =>
  uncond.add(cond.sub(uncond).mul(cfg));

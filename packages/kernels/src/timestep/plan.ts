import { type Capabilities, type Launch, defineKernel, launch, linearGrid } from '../kernel.js';
import linear from '../shared/linear.wgsl';
import sincos from '../shared/sincos.wgsl';
import source from './timestep_embedding.wgsl';

const kernel = defineKernel('timestep_embedding', linear, sincos, source);
const WG = 64;

/** Operands: r, frequencies, out. */
export function planTimestepEmbedding(
  batch: number,
  width: number,
  scale: number,
  caps: Capabilities,
): Launch {
  const half = Math.floor(width / 2);
  return launch(kernel, {
    constants: { WG },
    params: { batch, half, width, scale },
    workgroups: linearGrid(batch * half, WG, caps),
    cost: { flops: 30 * batch * half, bytes: 4 * (batch + half + batch * width) },
  });
}

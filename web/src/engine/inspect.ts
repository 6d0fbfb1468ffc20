import type { GenerationStep } from 'paella';
import { drawSubject, perPicture } from './draw.js';
import type { DrawRequest, Inspection } from './protocol.js';
import type { Session } from './session.js';

/**
 * Draws once more what was drawn, without previews, and measures it: how sure the model was of each token, and what it
 * costs. The pictures are the same, so only their tokens are told.
 */
export async function inspect(
  { device, pipeline }: Session,
  request: DrawRequest,
  { signal, onProgress }: { signal: AbortSignal; onProgress: (share: number) => void },
): Promise<Inspection> {
  const trails: Inspection['trails'] = [];
  const onStep = async ({ step, steps, pass, passes, first, ...info }: GenerationStep): Promise<void> => {
    const pictures = info.tokens.shape[0];
    const tokens = perPicture(Uint32Array.from(await info.tokens.data()), pictures);
    const entropy = perPicture(Float32Array.from(await info.entropy!.data()), pictures);
    for (let i = 0; i < pictures; i++) {
      const trail = (trails[first + i] ??= { tokens: [], entropy: [] });
      trail.tokens.push(tokens[i]);
      trail.entropy.push(entropy[i]);
    }
    onProgress((pass * steps + step + 1) / (passes * steps));
  };
  const draw = async (): Promise<void> => {
    await drawSubject(pipeline, request, { entropy: true, signal, onStep });
  };
  const isTimed = device.info.features.includes('timestamp-query');
  device.resetPeak();
  const before = device.stats();
  const start = performance.now();
  const kernels = isTimed ? await device.profile(draw) : (await draw(), null);
  const seconds = (performance.now() - start) / 1000;
  const { dispatches, submits, flops, bytes, pipelines } = device.stats();
  return {
    trails,
    kernels,
    seconds,
    work: {
      dispatches: dispatches - before.dispatches,
      submits: submits - before.submits,
      flops: flops - before.flops,
      bytes: bytes - before.bytes,
      pipelines: pipelines - before.pipelines,
    },
    memory: device.memory(),
  };
}

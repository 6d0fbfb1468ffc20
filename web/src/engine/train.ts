import { safetensorsBlob } from '@paella/tensor';
import { type Pipeline, fineTune } from 'paella';
import type { TrainReport, TrainRequest } from './protocol.js';

export { undoFineTuning } from 'paella';

/** Teaches a pipeline pictures, and tells of every step; samples show how what it draws changes. */
export async function train(
  pipeline: Pipeline,
  { examples, sample, ...options }: TrainRequest,
  { signal, onReport }: { signal: AbortSignal; onReport: (report: TrainReport) => void },
): Promise<void> {
  const drawSample = async (step: number): Promise<void> => {
    const { prompt, settings } = sample;
    const { images } = await pipeline.generate(prompt, { ...settings, signal });
    onReport({ kind: 'sample', step, image: images[0] });
  };
  await drawSample(0);
  await fineTune(pipeline, examples, {
    ...options,
    signal,
    onStep: async (info) => {
      onReport({ kind: 'step', ...info });
      const done = info.step + 1;
      if (done % sample.every === 0 || done === info.steps) await drawSample(done);
    },
  });
}

/** The U-Net's weights as a safetensors file. */
export const weightsOf = ({ unet }: Pipeline): Promise<Blob> => safetensorsBlob(unet.stateDict());

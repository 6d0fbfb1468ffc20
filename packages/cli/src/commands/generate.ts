import { Pipeline, type Range, type RgbaImage, contactSheet } from 'paella';
import type { Context, ModelOptions } from '../context.js';
import { checkResultPath, imageExtensions, numberedPaths, writeResult } from '../files.js';

export interface GenerateOptions extends ModelOptions {
  out?: string;
  count: number;
  steps?: number;
  cfg?: Range | null;
  temperature?: Range;
  renoise?: number;
  size?: [number, number];
  negative?: string;
  grid?: boolean;
  animate?: string;
}

/** `paella generate`: pictures for a prompt. Nothing is written before all of it is there. */
export async function generate(context: Context, prompt: string, options: GenerateOptions): Promise<void> {
  const { out, signal } = context;
  const { count, cfg, temperature, size, negative, grid, animate } = options;
  if (options.out) checkResultPath(options.out, imageExtensions);
  if (animate) checkResultPath(animate, ['.gif']);

  const device = await context.openDevice();
  const pipeline = await Pipeline.load(options.model, {
    device,
    dtype: options.dtype,
    onProgress({ part, done, total }) {
      context.checkInterrupt();
      out.progress(`loading ${part}`, done, total);
    },
  });
  const steps = options.steps ?? pipeline.settings().steps;
  const arrange = (images: RgbaImage[]): RgbaImage => (images.length > 1 ? contactSheet(images) : images[0]);
  const frames: RgbaImage[] = [];
  out.progress('step', 0, steps);
  // These libraries load while the device works.
  const imageFile = import('../image-file.js');
  const started = performance.now();
  const { images, seed } = await pipeline.generate(prompt, {
    seed: options.seed,
    renoiseSteps: options.renoise,
    count,
    steps,
    cfg,
    temperature,
    size,
    negative,
    signal,
    async onStep(info) {
      // The last step's picture is the result.
      if (animate && info.step < steps - 1) frames.push(arrange(await info.preview()));
      out.progress('step', info.step + 1, steps);
    },
  });
  context.checkInterrupt();
  const generationSeconds = (performance.now() - started) / 1000;

  const { encodeAnimation, encodeImage } = await imageFile;
  const results = grid ? [arrange(images)] : images;
  const paths = numberedPaths(options.out ?? defaultName(prompt, seed), results.length);
  paths.forEach((path, i) => writeResult(path, encodeImage(path, results[i])));
  if (animate) {
    writeResult(animate, encodeAnimation([...frames, arrange(images)]));
    paths.push(animate);
  }
  const { width, height } = images[0];
  const { dispatches, pipelines } = device.stats();
  // Node counts from the start of the process, so loading is in it.
  const seconds = performance.now() / 1000;
  out.note(`${width}×${height}, ${steps} steps, seed ${seed}, ${seconds.toFixed(1)} s`);
  const result = {
    images: paths,
    seed,
    width,
    height,
    steps,
    adapter: device.info.name,
    seconds,
    generationSeconds,
    dispatches,
    pipelines,
    peakBytes: device.memory().peakBytes,
  };
  out.result(result, paths);
}

/** The prompt and the seed, so that pictures of other seeds stay: `a-red-apple-7.png`. */
function defaultName(prompt: string, seed: number): string {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ['picture'];
  return `${words.join('-').slice(0, 60)}-${seed}.png`;
}

/** What the commands that draw pictures have in common: from loading the model to writing the files. */
import {
  type GenerateOptions,
  type Generation,
  Pipeline,
  type Preset,
  type Range,
  type RgbaImage,
  contactSheet,
} from 'paella';
import type { Context, ModelOptions } from './context.js';
import { checkResultPath, imageExtensions, numberedPaths, writeResult } from './files.js';

export interface PictureOptions extends ModelOptions {
  out?: string;
  preset?: Preset;
  count: number;
  steps?: number;
  cfg?: Range | 'off';
  temperature?: Range;
  renoise?: number;
  typical?: number;
  negative?: string;
  lowMemory?: boolean;
  grid?: boolean;
  animate?: string;
}

/** Options of the library that the command line's became, the same for every application. */
export type Drawing = Pick<
  GenerateOptions,
  | 'preset'
  | 'seed'
  | 'count'
  | 'steps'
  | 'renoiseSteps'
  | 'cfg'
  | 'temperature'
  | 'typical'
  | 'negative'
  | 'signal'
  | 'onStep'
>;

/**
 * Loads the model, and says what it lacks.
 *
 * @param ordinal which of several adapters that fit equally well
 */
export async function loadPipeline(
  context: Context,
  { model, dtype, lowMemory = model !== 'default' }: ModelOptions & { lowMemory?: boolean },
  ordinal?: number,
): Promise<Pipeline> {
  const { out } = context;
  const pipeline = await Pipeline.load(model, {
    device: await context.openDevice(ordinal),
    dtype,
    // Every network of it is needed once.
    lowMemory,
    onProgress({ part, done, total }) {
      context.checkInterrupt();
      out.progress(`loading ${part}`, done, total);
    },
  });
  for (const { file, purpose, published } of pipeline.model.missing) {
    out.note(`without ${file}: ${purpose} (${published})`);
  }
  return pipeline;
}

/**
 * Loads the model, draws, and writes pictures and result. Nothing is written before all of it is there.
 *
 * @param title of the pictures, which names their file together with the seed unless `--out` does
 * @param draw draws with the options it is given and its own
 * @param setting.framesAre what `--animate` shows: the steps to the pictures, or one picture after the other
 */
export async function drawPictures(
  context: Context,
  options: PictureOptions,
  title: string,
  draw: (pipeline: Pipeline, drawing: Drawing) => Promise<Generation>,
  { framesAre = 'steps' }: { framesAre?: 'steps' | 'pictures' } = {},
): Promise<void> {
  const { out, signal } = context;
  const { preset, seed, count, cfg, temperature, typical, negative, grid, animate } = options;
  if (options.out) checkResultPath(options.out, imageExtensions);
  if (animate) checkResultPath(animate, ['.gif']);

  const pipeline = await loadPipeline(context, options);
  const { steps } = pipeline.settings({ steps: options.steps, preset });
  const arrange = (images: RgbaImage[]): RgbaImage => (images.length > 1 ? contactSheet(images) : images[0]);
  const frames: RgbaImage[][] = []; // of each step, the pictures of all passes
  out.progress('drawing', 0, steps);
  // These libraries load while the device works.
  const imageFile = import('./image-file.js');
  const started = performance.now();
  const generation = await draw(pipeline, {
    preset,
    seed,
    count,
    steps: options.steps,
    renoiseSteps: options.renoise,
    cfg: cfg === 'off' ? null : cfg,
    temperature,
    typical: typical === undefined ? undefined : { mass: typical },
    negative,
    signal,
    async onStep(info) {
      // The last step's picture is the result.
      if (animate && framesAre === 'steps' && info.step < info.steps - 1) {
        (frames[info.step] ??= []).push(...(await info.preview()));
      }
      out.progress('step', info.pass * info.steps + info.step + 1, info.passes * info.steps);
    },
  });
  context.checkInterrupt();
  const generationSeconds = (performance.now() - started) / 1000;

  const { images } = generation;
  const { encodeAnimation, encodeImage } = await imageFile;
  const results = grid ? [arrange(images)] : images;
  const paths = numberedPaths(options.out ?? defaultName(title, generation.seed), results.length);
  paths.forEach((path, i) => writeResult(path, encodeImage(path, results[i])));
  if (animate) {
    writeResult(animate, encodeAnimation(framesAre === 'steps' ? [...frames, images].map(arrange) : images));
    paths.push(animate);
  }
  const { width, height } = images[0];
  const { dispatches, pipelines } = pipeline.device.stats();
  // Node counts from the start of the process, so loading is in it.
  const seconds = performance.now() / 1000;
  out.note(`${width}×${height}, ${steps} steps, seed ${generation.seed}, ${seconds.toFixed(1)} s`);
  const result = {
    images: paths,
    seed: generation.seed,
    width,
    height,
    steps,
    adapter: pipeline.device.info.name,
    seconds,
    generationSeconds,
    dispatches,
    pipelines,
    peakBytes: pipeline.device.memory().peakBytes,
  };
  out.result(result, paths);
}

/** The prompt and the seed, so that pictures of other seeds stay: `a-red-apple-7.png`. */
function defaultName(title: string, seed: number): string {
  const words = title.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ['picture'];
  return `${words.join('-').slice(0, 60)}-${seed}.png`;
}

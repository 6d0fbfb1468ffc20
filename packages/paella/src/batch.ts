import { Device, PaellaError, Rng, type Tensor, type nn, noGrad, scope } from '@paella/tensor';
import { drawTokens } from './draw.js';
import { addNoise } from './noise.js';
import { Predictor, type RegionCondition } from './predict.js';
import { Paella } from './unet/paella.js';
import { VQModel } from './vqgan/vqmodel.js';

export interface BatchOptions {
  /** How many pictures there are to draw, and so the most that are asked for. */
  count: number;
  /** Whether the U-Net also runs on what guidance moves away from. */
  guided?: boolean;
  /** Tokens of the longest condition. */
  conditionTokens: number;
  /** Conditions of each picture besides the main one. */
  regions?: number;
  /** What a pass may take on the device besides weights, in bytes; by default only the adapter's limits count. */
  budgetBytes?: number;
}

/**
 * How many pictures one pass can take: a step of the U-Net and the VQGAN's decoding, on a meta device with the limits of
 * theirs, so that the answer is that of the code that will run.
 *
 * @param grid height and width in tokens
 * @returns from 1 to `count`; 1 also where not even one picture fits, which the pass itself will say
 */
export async function picturesPerPass(
  unet: Paella,
  vqgan: VQModel,
  grid: readonly [number, number],
  options: BatchOptions,
): Promise<number> {
  using meta = await Device.create({ adapter: 'meta', like: unet.device.info });
  const twins = {
    unet: new Paella(unet.config, { device: meta }).to({ dtype: storedAs(unet) }).requiresGrad_(false),
    vqgan: new VQModel(vqgan.config, { device: meta }).to({ dtype: storedAs(vqgan) }).requiresGrad_(false),
  };
  let [fits, tooMany] = [1, options.count + 1];
  // Most often all of them fit: that is tried first.
  for (let tried = options.count; tooMany - fits > 1; tried = Math.floor((fits + tooMany) / 2)) {
    if (passFits(twins, [tried, ...grid], options)) fits = tried;
    else tooMany = tried;
  }
  return fits;
}

/** Whether the adapter's limits and the budget allow a pass. */
function passFits(
  { unet, vqgan }: { unet: Paella; vqgan: VQModel },
  shape: readonly [number, number, number],
  { guided = false, conditionTokens, regions = 0, budgetBytes = Infinity }: BatchOptions,
): boolean {
  const { device } = unet;
  device.trim();
  device.resetPeak();
  const weights = device.memory().liveBytes;
  const rng = new Rng(0);
  try {
    noGrad(() =>
      scope(() => {
        const cond = { byt5: device.empty([1, conditionTokens, unet.config.byt5_embd]) };
        const region = (): RegionCondition => ({ cond, weight: device.empty(shape.slice(1)) });
        const predictor = new Predictor(unet, {
          shape,
          cond,
          uncond: guided ? cond : undefined,
          regions: Array.from({ length: regions }, region),
        });
        const noise = device.empty(shape, 'u32');
        const step = (): Tensor => {
          const features = predictor.features(noise, 1, guided ? 1 : null);
          const drawn = drawTokens(features, unet.headWeight(), { mode: 'multinomial', temperature: 1, rng });
          const renoise = { rng, numLabels: unet.config.num_labels, randomTokens: noise };
          return addNoise(drawn, 0.5, renoise).noised;
        };
        try {
          const tokens = scope(step);
          predictor.dispose();
          vqgan.decodeIndices(tokens);
        } finally {
          predictor.dispose();
        }
      }),
    );
  } catch (error) {
    if (error instanceof PaellaError && error.code === 'limits') return false;
    throw error;
  }
  return device.memory().peakBytes - weights <= budgetBytes;
}

/** How a network's large matrices are stored. */
const storedAs = (module: nn.Module): 'f32' | 'f16' =>
  module.parameters().some(({ value }) => value.dtype === 'f16') ? 'f16' : 'f32';

import { PaellaError, type Tensor, ops } from '@paella/tensor';
import { guide } from './guidance.js';
import type { Condition, ConditionInputs } from './unet/condition.js';
import type { Paella } from './unet/paella.js';

/** One condition for all pictures, or a list that is stacked along the batch: a picture's each, of any length. */
export type Conditions = ConditionInputs | readonly ConditionInputs[];

/** A condition that holds for a part of the picture. */
export interface RegionCondition {
  cond: Conditions;
  /** Its share at each token, f32 `[H,W]` or `[B,H,W]`; what the shares of all regions lack to 1 is the main condition's. */
  weight: Tensor;
}

interface PredictorOptions {
  /** Pictures, and their height and width in tokens. */
  shape: readonly [number, number, number];
  cond: Conditions;
  /** What guidance moves away from. */
  uncond?: Conditions;
  regions?: readonly RegionCondition[];
}

/**
 * Predicts tokens under several conditions at once: the U-Net runs on copies of the batch, one a condition, and what
 * they say is mixed over regions and guided. All of it happens before the last layer, which is linear and without bias,
 * so it equals mixing and guiding the logits.
 */
export class Predictor {
  readonly #unet: Paella;
  readonly #batch: number;
  /** Of the main condition and of each region, `[1,H,W,1]` or `[B,H,W,1]`; empty without regions. */
  readonly #shares: readonly Tensor[];
  readonly #conditional: readonly ConditionInputs[];
  readonly #unconditional: readonly ConditionInputs[];
  #guided: Condition | null = null;
  #alone: Condition | null = null;

  /** @throws PaellaError `argument` if there are neither one condition nor one a picture, `shape` for weights of another grid */
  constructor(unet: Paella, { shape, cond, uncond, regions = [] }: PredictorOptions) {
    this.#unet = unet;
    this.#batch = shape[0];
    this.#shares = sharesOf(regions, shape);
    this.#conditional = [cond, ...regions.map((region) => region.cond)].flatMap((one) =>
      perPicture(one, shape[0]),
    );
    this.#unconditional = uncond ? perPicture(uncond, shape[0]) : [];
  }

  /**
   * @param tokens u32 `[B,H,W]`
   * @param t noise level
   * @param cfg guidance scale: `uncond + cfg·(cond − uncond)`; null for none
   * @returns the input of the U-Net's last layer, `[B,H,W,c_out]`
   */
  features(tokens: Tensor, t: number, cfg: number | null): Tensor {
    const condition = cfg === null ? this.#prepareAlone() : this.#prepareGuided();
    const branches = condition.batch / this.#batch;
    const copies = branches > 1 ? ops.cat(new Array<Tensor>(branches).fill(tokens), 0) : tokens;
    const all = this.#unet.features(copies, t, condition);
    if (branches === 1) return all;
    const branch = (i: number): Tensor => all.slice(0, i * this.#batch, (i + 1) * this.#batch);
    const mixed = this.#shares.map((share, i) => branch(i).mul(share));
    const conditional = mixed.length > 0 ? mixed.reduce((sum, part) => sum.add(part)) : branch(0);
    if (cfg === null) return conditional;
    return guide(conditional, branch(branches - 1), cfg);
  }

  dispose(): void {
    this.#guided?.dispose();
    this.#alone?.dispose();
  }

  #prepareGuided(): Condition {
    this.#guided ??= this.#unet.prepare([...this.#conditional, ...this.#unconditional]);
    return this.#guided;
  }

  #prepareAlone(): Condition {
    this.#alone ??= this.#unet.prepare(this.#conditional);
    return this.#alone;
  }
}

/** Conditions for every picture of a batch; a single one serves all. */
function perPicture(conditions: Conditions, batch: number): readonly ConditionInputs[] {
  const list = [conditions].flat();
  const count = list.reduce((sum, { byt5 }) => sum + byt5.shape[0], 0);
  if (count === 1 && list.length === 1) return new Array<ConditionInputs>(batch).fill(list[0]);
  if (count !== batch) {
    throw new PaellaError('argument', `conditions for ${count} pictures, but ${batch} are drawn`, {
      fix: 'Give one condition for all pictures, or one a picture.',
    });
  }
  return list;
}

function sharesOf(
  regions: readonly RegionCondition[],
  [batch, h, w]: readonly [number, number, number],
): Tensor[] {
  if (regions.length === 0) return [];
  const shares = regions.map(({ weight }) => {
    const [b, ...grid] = weight.rank === 2 ? [1, ...weight.shape] : weight.shape;
    if (weight.dtype !== 'f32' || (b !== 1 && b !== batch) || grid.join() !== `${h},${w}`) {
      throw new PaellaError('shape', `a region's weight must be f32 [${h},${w}] or [${batch},${h},${w}]`, {
        operands: { weight: weight.toString() },
      });
    }
    return weight.reshape([b, h, w, 1]);
  });
  const rest = shares
    .reduce((sum, share) => sum.add(share))
    .neg()
    .add(1);
  return [rest, ...shares];
}

import { Device } from '@paella/tensor';
import { PAELLA_V3, type PaellaConfig, VQGAN_F4, type VQModelConfig } from 'paella';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Case } from '../cases/case.mjs';
import { randomUnet, randomVqgan } from '../cases/models.mjs';
import { unetStep } from '../cases/train.mjs';
import { forward } from '../cases/unet.mjs';
import { decoding, encoding } from '../cases/vqgan.mjs';
import type { Peer } from '../peers/engine.mjs';
import { openPeers } from '../peers/open.mjs';
import { runCase } from '../run.mjs';

const unet: PaellaConfig = {
  ...PAELLA_V3,
  c_in: 16,
  c_out: 16,
  num_labels: 64,
  c_r: 16,
  c_cond: 16,
  c_hidden: [16, 32],
  nhead: [-1, 4],
  blocks: [1, 1],
  level_config: ['CT', 'CTA'],
  byt5_embd: 8,
  clip_embd: 8,
  clip_seq_len: 1,
  dropout: 0,
};
const vqgan: VQModelConfig = { ...VQGAN_F4, bottleneck_blocks: 1, c_hidden: 16, codebook_size: 32 };

describe('networks over any engine', () => {
  let device: Device;
  let peers: Peer[];

  beforeAll(async () => {
    device = await Device.create();
    ({ peers } = await openPeers(['tfjs', 'onnxruntime'], device.info.name));
  });

  afterAll(async () => {
    for (const peer of peers) await peer.close();
    device.destroy();
  });

  /** What a peer was off, by its name; nothing where it computed the same as this engine. */
  const disagreeing = async (given: Case, name: string) => {
    const chosen = peers.filter((peer) => peer.name === name);
    const { peers: timed, left } = await runCase(given, device, chosen, { rounds: 1, budgetMs: 1 });
    expect([...Object.keys(timed), ...Object.keys(left)]).toEqual([name]);
    return left;
  };

  it.each([
    // 16 and 64 positions with attention: onnxruntime has one kernel for few queries and one for many.
    forward('U-Net', () => randomUnet(unet), { batch: 2, side: 16, text: 3 }),
    forward('U-Net', () => randomUnet(unet), { batch: 1, side: 32, text: 3 }),
    encoding('VQGAN', () => randomVqgan(vqgan), 16),
    decoding('VQGAN', () => randomVqgan(vqgan), 16),
  ])('$suite: $name', async (given) => {
    expect(await disagreeing(given, 'onnxruntime')).toEqual({});
  });

  it('learn alike where there are gradients', async () => {
    const step = unetStep('U-Net', () => randomUnet(unet), { batch: 2, side: 8, text: 3 });
    expect(await disagreeing(step, 'tfjs')).toEqual({});
    expect(await disagreeing(step, 'onnxruntime')).toEqual({ onnxruntime: 'has no gradients' });
  });
});

import { type Rng, nn } from '@paella/tensor';
import { AttnBlock, ResBlock, TimestepBlock } from './blocks.js';
import type { Paella } from './paella.js';

const { constant_, normal_, xavierUniform_ } = nn.init;

/**
 * Initial weights as upstream's. The logits start at exactly 0, so the first cross-entropy is
 * `ln(num_labels)`, and every residual branch starts small.
 */
export function initialise(unet: Paella, rng: Rng): void {
  const { blocks, num_labels } = unet.config;
  for (const layer of [unet.embedding.get(1), unet.clf.get(1), unet.out_mapper.get(1)]) xavier(layer, rng);
  for (const block of [...unet.down_blocks, ...unet.up_blocks].flatMap((level) => [...level])) {
    if (block instanceof ResBlock) {
      const project = block.channelwise.get(4);
      for (const layer of [block.depthwise, block.channelwise.get(0), project]) xavier(layer, rng);
      project.weight.value = project.weight.value.mul(Math.sqrt(1 / blocks.reduce((a, b) => a + b, 0)));
    } else if (block instanceof TimestepBlock) {
      constant_(block.mapper.weight, 0);
      constant_(block.mapper.bias!, 0);
    } else if (block instanceof AttnBlock) {
      xavier(block.kv_mapper.get(1), rng);
      xavier(block.attention.attn.out_proj, rng);
    } else if (block.get(1) instanceof nn.Conv2d) {
      xavier(block.get(1), rng);
    }
  }
  for (const mapper of [unet.byt5_mapper, unet.clip_mapper, unet.clip_image_mapper]) {
    normal_(mapper.weight, rng, 0.02);
    constant_(mapper.bias!, 0);
  }
  xavierUniform_(unet.embedding.get(1).weight, rng, 0.02);
  constant_(unet.clf.get(1).weight, 0);
  const table = unet.in_mapper.get(0).weight;
  normal_(table, rng, Math.sqrt(1 / num_labels));
  // The last layer starts as a copy of the embedding table; the two are not tied afterwards.
  const head = unet.out_mapper.get(1).weight;
  head.value = table.value.transpose().reshape(head.storedShape);
}

/** Xavier-uniform weight, zero bias. */
export function xavier(layer: { weight: nn.Parameter; bias: nn.Parameter | null }, rng: Rng): void {
  xavierUniform_(layer.weight, rng);
  if (layer.bias) constant_(layer.bias, 0);
}

import { Device, loadStateDict } from '@paella/tensor';
import type { Model } from './model.js';

/**
 * The model with one of its networks taken from a checkpoint, `.pt` or safetensors: the U-Net, the VQGAN, the text
 * encoder (ByT5), the image encoder, or the prior. Which one it is, and its configuration, is read off its names and
 * shapes; what they do not tell (attention heads, say) is taken from the model's own. Nothing is loaded yet.
 *
 * @throws PaellaError `format` if the file is none of these; `argument` if it does not fit the other parts, saying in
 *   what; `state-dict` if its tensors make no whole network
 */
export async function replacePart(model: Model, file: Blob): Promise<Model> {
  // Most pages never need these, nor the networks that a file may turn out to be.
  const [{ identifyModel }, { Replacement }] = await Promise.all([
    import('./inspect.js'),
    import('./replacement.js'),
  ]);
  const state = await loadStateDict(file);
  const found = identifyModel(state.keys().map((name) => ({ name, ...state.info(name) })));
  await state.close?.();
  const replacement = new Replacement(model, file, await Device.create({ adapter: 'meta' }));
  const parts = await replacement.of(found);
  return { ...model, name: `${model.name} with ${replacement.file}`, ...parts };
}

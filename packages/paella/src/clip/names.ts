import type { StateDict, StoredTensor } from '@paella/tensor';

/** Hugging Face's names on the left, open_clip's on the right; applied in order. */
const RENAMED: readonly (readonly [RegExp, string])[] = [
  [/^text_model\.encoder\.layers\./, 'transformer.resblocks.'],
  [/^text_model\.embeddings\.token_embedding\./, 'token_embedding.'],
  [/^text_model\.embeddings\.position_embedding\.weight$/, 'positional_embedding'],
  [/^text_model\.final_layer_norm\./, 'ln_final.'],
  [/^text_projection\.weight$/, 'text_projection'],
  [/^vision_model\.encoder\.layers\./, 'visual.transformer.resblocks.'],
  [/^vision_model\.embeddings\.class_embedding$/, 'visual.class_embedding'],
  [/^vision_model\.embeddings\.patch_embedding\./, 'visual.conv1.'],
  [/^vision_model\.embeddings\.position_embedding\.weight$/, 'visual.positional_embedding'],
  [/^vision_model\.pre_layrnorm\./, 'visual.ln_pre.'],
  [/^vision_model\.post_layernorm\./, 'visual.ln_post.'],
  [/^visual_projection\.weight$/, 'visual.proj'],
  [/\.self_attn\.out_proj\./, '.attn.out_proj.'],
  [/\.self_attn\.[qkv]_proj\./, '.attn.in_proj_'],
  [/\.layer_norm([12])\./, '.ln_$1.'],
  [/\.mlp\.fc1\./, '.mlp.c_fc.'],
  [/\.mlp\.fc2\./, '.mlp.c_proj.'],
];

/** Numbers of the positions, which older files hold. */
const POSITION_IDS = /\.position_ids$/;

/**
 * A CLIP's state dict under open_clip's names. That of Hugging Face's `CLIPModel` is renamed: its queries, keys and
 * values become one matrix again, and its projections are transposed. Any other is returned as it is.
 */
export function openClipNames(state: StateDict): StateDict {
  const keys = state.keys();
  if (!keys.some((key) => /^(text|vision)_model\./.test(key))) return state;
  const sources = new Map<string, string[]>();
  for (const key of keys) {
    if (POSITION_IDS.test(key)) continue;
    const name = RENAMED.reduce((text, [from, to]) => text.replace(from, to), key);
    sources.set(name, [...(sources.get(name) ?? []), key]);
  }
  // Alphabetically, keys come before queries.
  const order = ['q', 'k', 'v'];
  const rank = (key: string): number => order.indexOf(/\.([qkv])_proj\.\w+$/.exec(key)?.[1] ?? 'q');
  for (const parts of sources.values()) parts.sort((a, b) => rank(a) - rank(b));
  const isTransposed = (name: string): boolean => name === 'text_projection' || name === 'visual.proj';
  const infoOf = (name: string): ReturnType<StateDict['info']> => {
    const infos = (sources.get(name) ?? [name]).map((key) => state.info(key));
    const [{ shape, dtype }] = infos;
    if (isTransposed(name)) return { shape: [...shape].reverse(), dtype };
    const rows = infos.reduce((sum, info) => sum + (info.shape[0] ?? 0), 0);
    return { shape: shape.length > 0 ? [rows, ...shape.slice(1)] : shape, dtype };
  };
  return {
    keys: () => [...sources.keys()],
    info: infoOf,
    get: async (name) => {
      const parts: StoredTensor[] = [];
      for (const key of sources.get(name) ?? [name]) parts.push(await state.get(key));
      if (isTransposed(name)) return transposed(parts[0]);
      return parts.length === 1 ? parts[0] : { ...infoOf(name), data: joined(parts) };
    },
  };
}

function joined(parts: readonly StoredTensor[]): Float32Array<ArrayBuffer> {
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data as Float32Array, at);
    at += part.data.length;
  }
  return data;
}

function transposed({ shape: [rows, columns], dtype, data }: StoredTensor): StoredTensor {
  const values = data as Float32Array;
  const turned = new Float32Array(rows * columns);
  for (let i = 0; i < turned.length; i++) turned[i] = values[(i % rows) * columns + Math.floor(i / rows)];
  return { shape: [columns, rows], dtype, data: turned };
}

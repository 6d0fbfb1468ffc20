export { picturesPerPass, type BatchOptions } from './batch.js';
export { CLIP } from './clip/clip.js';
export { CLIP_VIT_H_14, type CLIPConfig, type CLIPTextConfig, type CLIPVisionConfig } from './clip/config.js';
export { openClipNames } from './clip/names.js';
export { preprocessClip } from './clip/preprocess.js';
export {
  clipTokenizer,
  openClipTokenizer,
  type ClipTokenizer,
  type ClipVocabulary,
} from './clip/tokenizer.js';
export type { Area, Box } from './edit/area.js';
export type { BlendMethod } from './edit/blend.js';
export { inpaint, type InpaintOptions } from './edit/inpaint.js';
export { interpolate, type InterpolateOptions } from './edit/interpolate.js';
export { morph, type MorphOptions } from './edit/morph.js';
export { outpaint, type OutpaintOptions, type Surroundings } from './edit/outpaint.js';
export { generateRegions, type PromptRegion, type Ramp } from './edit/regions.js';
export { vary, type VaryOptions } from './edit/vary.js';
export { ImageEncoder, type ImageEncoderConfig } from './image-encoder/image-encoder.js';
export {
  contactSheet,
  decodeTokens,
  imagesFromTensor,
  psnr,
  ssim,
  tensorFromImages,
  type RgbaImage,
} from './image.js';
export {
  completeConfig,
  identifyModel,
  type IdentifiedModel,
  type Inferred,
  type InferredClipConfig,
  type InferredPaellaConfig,
  type InferredPriorConfig,
} from './inspect.js';
export {
  denoisingLoss,
  denoisingTerms,
  type DenoisingBatch,
  type DenoisingOptions,
  type DenoisingTerms,
} from './loss.js';
export {
  byt5Config,
  imageEncoderConfig,
  modelCard,
  openModelFolder,
  unetConfig,
  vqganConfig,
  type ModelCard,
  type ModelFolder,
} from './model-folder.js';
export { addNoise, lossWeight } from './noise.js';
export type { ConditionRequest } from './conditioner.js';
export {
  fineTune,
  undoFineTuning,
  type Example,
  type FineTuneOptions,
  type FineTuneStep,
} from './fine-tune.js';
export { folderOfFiles, openFolder, type Folder } from './folder.js';
export {
  planMemory,
  type MemoryPlan,
  type MemoryPlanOptions,
  type PartMemory,
  type StageMemory,
} from './memory-plan.js';
export type { MissingPart, Model, ModelPart, PartName } from './model.js';
export { openModel } from './open-model.js';
export {
  Pipeline,
  type DrawOptions,
  type GenerateOptions,
  type Generation,
  type GenerationStep,
  type LoadOptions,
} from './pipeline.js';
export {
  PRESETS,
  type Preset,
  type SamplerSettings,
  type SettingsOptions,
  chooseSettings,
} from './presets.js';
export { replacePart } from './replace-part.js';
export type { LoadProgress } from './residents.js';
export {
  alphaCumprod,
  diffuse,
  samplePrior,
  type PriorSampler,
  type SamplePriorOptions,
} from './prior/diffuzz.js';
export { PRIOR_V1, PriorModel, type PriorConfig } from './prior/prior-model.js';
export { coverImage } from './resize.js';
export { type Conditions, type RegionCondition } from './predict.js';
export { sample, type Range, type SampleOptions, type StepInfo } from './sample.js';
export { storedFolder, type DownloadProgress, type StoredFolderOptions } from './stored-folder.js';
export { BYT5_XL, ByT5Encoder, byt5Tokenize, relativePositionBuckets, type ByT5Config } from './text/byt5.js';
export { openByT5Folder, type ByT5Folder } from './text/byt5-folder.js';
export { parsePromptWeights } from './text/prompt-weights.js';
export { denoisingStep, optimizerStep, type DenoisingStep, type TrainOptions } from './train.js';
export { WordVectorEncoder, outOfVocabularyVector } from './text/word-vectors.js';
export { Condition, type ConditionInputs } from './unet/condition.js';
export { PAELLA_V3, type PaellaConfig } from './unet/config.js';
export { Paella } from './unet/paella.js';
export { VQGAN_F4, VQModel, type Encoded, type VQModelConfig } from './vqgan/vqmodel.js';
export { Discriminator, type DiscriminatorConfig } from './vqgan/discriminator.js';
export {
  codeUsage,
  discriminatorGradients,
  latentsOf,
  reconstruct,
  vqganGradients,
  vqganStep,
  type VQGradientOptions,
  type VQGradients,
  type VQLossWeights,
  type VQStep,
  type VQTraining,
} from './vqgan/train.js';

import type { Device, Tensor } from '@paella/tensor';
import type { RgbaImage } from '../image.js';

/** Placeholder until preprocessing is in. */
export function preprocessClip(device: Device, images: readonly RgbaImage[], size = 224): Tensor {
  throw new Error(`no preprocessing of ${images.length} images to ${size} on ${device.info.name} yet`);
}

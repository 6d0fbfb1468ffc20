import type { RgbaImage } from 'paella';

/** Width and height in pixels. */
export type Size = [number, number];

/** @throws DOMException for what the browser cannot read as a picture */
export async function pictureSize(file: Blob): Promise<Size> {
  const bitmap = await createImageBitmap(file);
  const { width, height } = bitmap;
  bitmap.close();
  return [width, height];
}

/**
 * Reads a picture, scaled so that it covers a size; what stands over on two opposite sides is cut off, and transparency
 * shows white. The file is decoded again each time, so that nobody has to hold all the pixels of a photograph.
 *
 * @throws DOMException for what the browser cannot read as a picture
 */
export async function cropPicture(file: Blob, [width, height]: Size): Promise<RgbaImage> {
  const bitmap = await createImageBitmap(file);
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const [wide, high] = [bitmap.width * scale, bitmap.height * scale];
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
  context.fillStyle = 'white';
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, (width - wide) / 2, (height - high) / 2, wide, high);
  bitmap.close();
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

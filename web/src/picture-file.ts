import type { RgbaImage } from 'paella';

/** Width and height in pixels. */
export type Size = [number, number];

/**
 * Reads a picture, scaled so that it covers a size; what stands over on two opposite sides is cut off, and transparency
 * shows white. The file is decoded again each time, so that nobody has to hold all the pixels of a photograph.
 *
 * @param choose the size to cover, for that of the file's picture
 * @returns with the picture, the size that it has in the file
 * @throws DOMException for what the browser cannot read as a picture
 */
export async function cropPicture(
  file: Blob,
  choose: (size: Size) => Size,
): Promise<{ image: RgbaImage; size: Size }> {
  const bitmap = await createImageBitmap(file);
  const size: Size = [bitmap.width, bitmap.height];
  const [width, height] = choose(size);
  const scale = Math.max(width / size[0], height / size[1]);
  const [wide, high] = [size[0] * scale, size[1] * scale];
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
  context.fillStyle = 'white';
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, (width - wide) / 2, (height - high) / 2, wide, high);
  bitmap.close();
  return { image: { width, height, data: context.getImageData(0, 0, width, height).data }, size };
}

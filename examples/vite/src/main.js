import { Device } from '@paella/tensor';
import { Pipeline } from 'paella';

const device = await Device.create();
const pipeline = await Pipeline.load(new URL('models/default/', document.baseURI), { device });
const { images } = await pipeline.generate('a red apple', { seed: 7 });

const [{ width, height, data }] = images;
const canvas = Object.assign(document.querySelector('canvas'), { width, height });
canvas.getContext('2d').putImageData(new ImageData(data, width, height), 0, 0);
document.title = 'Done';

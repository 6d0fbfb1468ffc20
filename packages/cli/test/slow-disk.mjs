/** Loaded before a program (`node --import`): what it has put on the disk takes a while, as on a busy file server. */
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const file = await open(new URL(import.meta.url));
const handles = Object.getPrototypeOf(file);
await file.close();
const { sync } = handles;
handles.sync = async function () {
  await sync.call(this);
  await sleep(500);
};

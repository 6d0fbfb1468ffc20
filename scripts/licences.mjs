/** The licences of the libraries in a bundle, which a copy of them has to carry along. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * @param {Iterable<string>} modules paths of what is in the bundle
 * @returns {Promise<string>} name, version and licence text of every library among it
 */
export async function licencesOf(modules) {
  const folders = [...modules].flatMap(
    (path) => /^\0?(.*node_modules\/(?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? [],
  );
  const texts = await Promise.all([...new Set(folders)].sort().map(licenceOf));
  return `This is made with parts of these libraries.\n\n${texts.join('\n\n')}\n`;
}

/** @param {string} folder */
async function licenceOf(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice)/i.test(file)).sort();
  if (files.length === 0) throw new Error(`${name} in ${folder} has no licence file to carry along`);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  return [`${name} ${version} (${license})`, ...texts.map((text) => text.trim())].join('\n\n');
}

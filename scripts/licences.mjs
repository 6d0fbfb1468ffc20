/** The licences of the libraries in a bundle, which a copy of them has to carry along. */
import { readFile, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/**
 * @param {import('esbuild').Metafile[]} metafiles of builds with the working directory `root`
 * @param {string} root
 * @returns {Promise<string>} name, version and licence text of every library of which something is in the outputs
 */
export async function licencesOf(metafiles, root) {
  /** @type {Set<string>} */
  const folders = new Set();
  for (const { outputs } of metafiles) {
    for (const [path, { bytesInOutput }] of Object.values(outputs).flatMap(({ inputs }) =>
      Object.entries(inputs),
    )) {
      const folder = /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0];
      if (folder && bytesInOutput > 0) folders.add(resolve(root, folder));
    }
  }
  const texts = await Promise.all([...folders].sort().map(licenceOf));
  return `This file is made of parts of these libraries.\n\n${texts.join('\n\n')}\n`;
}

/** @param {string} folder */
async function licenceOf(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice)/i.test(file)).sort();
  if (files.length === 0) throw new Error(`${name} in ${folder} has no licence file to carry along`);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  return [`${name} ${version} (${license})`, ...texts.map((text) => text.trim())].join('\n\n');
}

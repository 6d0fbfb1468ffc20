/** The drawings of a picture source, with what they show. */
import { readFileSync, readdirSync } from 'node:fs';
import { type Concept, type Concepts, inWords } from './concepts.js';
import type { Packages } from './packages.js';
import { type Icon, type Sprite, renderFile, renderSvg, svgOf } from './render.js';
import type { PictureSource } from './sources.js';

export interface Drawing {
  source: PictureSource;
  concept: Concept;
  /** Other concepts that the source draws the same way. */
  others: Concept[];
  /** Throws if it is damaged. */
  render: (size: number) => Promise<Sprite>;
}

/** An iconify collection: icons by name, and the size that they have unless they say otherwise. */
export type Collection = { icons: Record<string, Icon> } & Partial<Icon>;

/** Every drawing of a source that has a name, in the order of names; equal ones once. */
export function listDrawings(source: PictureSource, packages: Packages, concepts: Concepts): Drawing[] {
  const drawings = new Map<string, Drawing>();
  const add = (content: string, concept: Concept | null, render: Drawing['render']): void => {
    if (!concept) return;
    const equal = drawings.get(content);
    if (equal) equal.others.push(concept);
    else drawings.set(content, { source, concept, others: [], render });
  };
  if (source.names === 'files') {
    for (const file of readdirSync(packages.path(source.package, 'assets')).sort()) {
      const path = packages.path(source.package, 'assets', file);
      const concept = concepts.byHex(file.replace(/\.\w+$/, ''));
      add(readFileSync(path, 'latin1'), concept, (size) => renderFile(path, size));
    }
    return [...drawings.values()];
  }
  const collection = packages.json(source.package, 'icons.json') as Collection;
  const codes = source.names === 'emoji' ? codePoints(packages, source.package) : new Map<string, string>();
  const conceptOf = (name: string): Concept | null => {
    if (source.names === 'words') return inWords(name);
    if (source.names === 'countries') return concepts.flag(name);
    const code = codes.get(name);
    return (code && concepts.byHex(code)) || concepts.byName(name);
  };
  for (const [name, icon] of Object.entries(collection.icons).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (icon.hidden) continue;
    add(JSON.stringify(icon), conceptOf(name), (size) => renderSvg(svgOf(icon, collection, size), size));
  }
  return [...drawings.values()];
}

/** Icon names to code points, where the collection lists them. */
function codePoints(packages: Packages, name: string): Map<string, string> {
  // Some collections have no such list; their icons are named as CLDR names emoji.
  const chars = packages.has(name, 'chars.json')
    ? (packages.json(name, 'chars.json') as Record<string, string>)
    : {};
  const codes = new Map<string, string>();
  for (const [code, icon] of Object.entries(chars)) if (!codes.has(icon)) codes.set(icon, code);
  return codes;
}

/** What an emoji is called: names and tags of Unicode CLDR by code points and by name. */
import type { Packages } from './packages.js';

export interface Concept {
  /** The name in words: `birthday cake`. */
  name: string;
  tags: string[];
  /** What variants of one thing share; data is split by it. */
  base: string;
  /** A skin-tone variant. */
  isVariant: boolean;
  /** CLDR's group, empty for icons. */
  group: string;
}

interface EmojiEntry {
  hexcode: string;
  label: string;
  emoji?: string;
  tags?: string[];
  group?: number;
  skins?: EmojiEntry[];
}

/** `1F1E9-1F1EA` as everyone writes it: lower case, without variation selectors and leading zeros. */
const normalised = (hex: string): string =>
  hex
    .toLowerCase()
    .split('-')
    .filter((code) => code !== 'fe0f')
    .map((code) => code.replace(/^0+/, ''))
    .join('-');

const slug = (name: string): string =>
  name
    .toLowerCase()
    .normalize('NFD')
    .replace(/[\u0300-\u036f’'“”".!]/g, '')
    .replace(/&/g, 'and')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');

const mostTags = 12;

export class Concepts {
  readonly #byHex = new Map<string, Concept>();
  readonly #bySlug = new Map<string, Concept>();

  constructor(packages: Packages) {
    const entries = packages.json('emojibase-data', 'en', 'data.json') as EmojiEntry[];
    const { groups } = packages.json('emojibase-data', 'en', 'messages.json') as {
      groups: { order: number; message: string }[];
    };
    const groupNames = new Map(groups.map(({ order, message }) => [order, message]));
    const keywords = packages.json('emojilib', 'dist', 'emoji-en-US.json') as Record<string, string[]>;
    const add = (entry: EmojiEntry, parent: EmojiEntry | null): void => {
      const origin = parent ?? entry;
      const more = (keywords[origin.emoji ?? ''] ?? []).map((word) => word.replace(/_/g, ' '));
      const concept: Concept = {
        name: entry.label,
        tags: [...new Set([...(origin.tags ?? []), ...more])].slice(0, mostTags),
        base: normalised(origin.hexcode),
        isVariant: parent !== null,
        group: groupNames.get(origin.group ?? -1) ?? '',
      };
      this.#byHex.set(normalised(entry.hexcode), concept);
      if (!this.#bySlug.has(slug(entry.label))) this.#bySlug.set(slug(entry.label), concept);
      for (const skin of entry.skins ?? []) add(skin, entry);
    };
    for (const entry of entries) add(entry, null);
  }

  byHex(hex: string): Concept | null {
    return this.#byHex.get(normalised(hex)) ?? null;
  }

  /** An emoji by its CLDR name as icon sets write it, or a concept of its own for other words. */
  byName(name: string): Concept {
    return this.#bySlug.get(name) ?? this.#bySlug.get(name.replace(/^flag-for-/, 'flag-')) ?? inWords(name);
  }

  /** A country's flag; null where the code is of no country. */
  flag(code: string): Concept | null {
    if (!/^[a-z]{2}$/.test(code)) return null;
    const country = new Intl.DisplayNames(['en'], { type: 'region' }).of(code.toUpperCase());
    if (!country || country === code.toUpperCase()) return null;
    const known = this.#bySlug.get(slug(`flag: ${country}`));
    const base = known?.base ?? `flag-${code}`;
    return { name: `flag: ${country}`, tags: ['flag', country], base, isVariant: false, group: 'flags' };
  }
}

/** `alarm-clock-2` → alarm clock. */
export function inWords(name: string): Concept {
  const words = name
    .replace(/-/g, ' ')
    .replace(/\s+\d+$/, '')
    .trim();
  return { name: words, tags: [], base: words, isVariant: false, group: '' };
}

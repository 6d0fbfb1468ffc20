/** Where the emoji set's pictures come from: npm packages, in versions that are known to work, and their licences. */

export interface PictureSource {
  name: string;
  /** npm package and version. */
  package: string;
  version: string;
  licence: string;
  /** Whom the notice names. */
  credit: string;
  /** How its pictures look, as captions say it. */
  style: string;
  /**
   * What names the pictures: an emoji (by its code points or its CLDR name), plain words, or a country code; or files
   * named by code points.
   */
  names: 'emoji' | 'words' | 'countries' | 'files';
}

export const pictureSources: readonly PictureSource[] = [
  {
    name: 'noto',
    package: '@iconify-json/noto',
    version: '1.2.9',
    licence: 'Apache-2.0',
    credit: 'Noto Emoji, © Google',
    style: 'google emoji',
    names: 'emoji',
  },
  {
    name: 'noto-v1',
    package: '@iconify-json/noto-v1',
    version: '1.2.5',
    licence: 'Apache-2.0',
    credit: 'Noto Emoji (older design), © Google',
    style: 'blob emoji',
    names: 'emoji',
  },
  {
    name: 'twemoji',
    package: '@iconify-json/twemoji',
    version: '1.2.5',
    licence: 'CC-BY-4.0',
    credit: 'Twemoji, © Twitter and contributors',
    style: 'flat emoji',
    names: 'emoji',
  },
  {
    name: 'fluent-flat',
    package: '@iconify-json/fluent-emoji-flat',
    version: '1.2.6',
    licence: 'MIT',
    credit: 'Fluent Emoji, © Microsoft',
    style: 'simple flat emoji',
    names: 'emoji',
  },
  {
    name: 'fluent-3d',
    package: '@lobehub/fluent-emoji-3d',
    version: '1.1.0',
    licence: 'MIT',
    credit: 'Fluent Emoji, © Microsoft',
    style: '3d render',
    names: 'files',
  },
  {
    name: 'emojione',
    package: '@iconify-json/emojione',
    version: '1.2.3',
    licence: 'CC-BY-4.0',
    credit: 'EmojiTwo (EmojiOne 2), © Ranks.com and the EmojiTwo community',
    style: 'cartoon emoji',
    names: 'emoji',
  },
  {
    name: 'flat-color-icons',
    package: '@iconify-json/flat-color-icons',
    version: '1.2.3',
    licence: 'MIT',
    credit: 'Flat Color Icons, © Icons8',
    style: 'flat icon',
    names: 'words',
  },
  {
    name: 'meteocons',
    package: '@iconify-json/meteocons',
    version: '1.2.4',
    licence: 'MIT',
    credit: 'Meteocons, © Bas Milius',
    style: 'weather icon',
    names: 'words',
  },
  {
    name: 'circle-flags',
    package: '@iconify-json/circle-flags',
    version: '1.2.11',
    licence: 'MIT',
    credit: 'Circle flags, © HatScripts',
    style: 'round flag icon',
    names: 'countries',
  },
];

/** Shapes for tinted silhouettes. */
export const silhouetteSource = {
  name: 'game-icons',
  package: '@iconify-json/game-icons',
  version: '1.2.4',
  licence: 'CC-BY-3.0',
  credit: 'game-icons.net, © Lorc, Delapouite and contributors',
};

/** Faces made of labelled parts. */
export const avatarSource = {
  name: 'dicebear',
  package: '@dicebear/collection',
  version: '9.4.3',
  licence: 'CC0-1.0 and CC-BY-4.0',
  credit:
    'DiceBear avatars: Pixel Art by DiceBear and Open Peeps by Pablo Stanley (CC0-1.0); Personas by Draftbit, ' +
    'Big Smile by Ashley Seo and Toon Head by Johan Melin (CC-BY-4.0)',
};
export const avatarCore = { package: '@dicebear/core', version: '9.4.3' };

/** Names and tags of emoji. */
export const nameSources = [
  {
    package: 'emojibase-data',
    version: '17.0.0',
    licence: 'MIT',
    credit: 'emojibase, names from Unicode CLDR',
  },
  { package: 'emojilib', version: '4.0.3', licence: 'MIT', credit: 'emojilib, © Mu-An Chiou' },
];

/** Whether a licence asks for no more than its text and the names of the authors beside copies. */
export const isPermissive = (licence: string): boolean => ['MIT', 'Apache-2.0', 'CC0-1.0'].includes(licence);

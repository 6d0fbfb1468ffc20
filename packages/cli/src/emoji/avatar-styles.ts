/** DiceBear's styles, and what of their parts captions can name: values that look alike or like nothing are left out. */

/** One of DiceBear's options: its value → words for it, empty where there is nothing to say. */
interface Part {
  option: string;
  words: Readonly<Record<string, string>>;
  /** The share of avatars that have the part; all where it is missing. */
  chance?: number;
}

interface Colour {
  option: string;
  /** Name → hex digits. */
  values: Readonly<Record<string, string>>;
}

export interface AvatarStyle {
  /** As `@dicebear/collection` exports it. */
  name: string;
  licence: string;
  words: string;
  /** The colour that `$` stands for in the words of `hair`. */
  hairColour: Colour | null;
  hair: Part;
  /** Parts with what follows `with`, in this order, before skin and clothes. */
  has: readonly Part[];
  skin: Colour;
  clothes: Colour | null;
  /** What the face does, after the rest. */
  mood: readonly Part[];
  /** Options that would draw what no caption says. */
  without: readonly string[];
}

const hairColours = {
  black: '1c1714',
  brown: '6b4423',
  blond: 'e8c468',
  red: 'c0492b',
  gray: 'a9a9a9',
  blue: '3b6fd8',
  pink: 'f08bb4',
  green: '3f9d63',
};
const clothColours = {
  red: 'd94a3d',
  blue: '3f6fd1',
  green: '4a9d57',
  yellow: 'f0c541',
  black: '26262a',
  white: 'f4f4f0',
  purple: '8352b8',
  orange: 'f0862e',
};
const skinColours = { light: 'f6d3b3', tan: 'd9a066', brown: '9c6238', dark: '5e3a22' };

/** `short` from 1 to 24 as `short01` …, all called the same. */
const numbered = (stem: string, count: number, words: string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [stem + String(i + 1).padStart(2, '0'), words]));

export const avatarStyles: readonly AvatarStyle[] = [
  {
    name: 'pixelArt',
    licence: 'CC0-1.0',
    words: 'pixel art portrait',
    hairColour: { option: 'hairColor', values: hairColours },
    hair: {
      option: 'hair',
      words: { ...numbered('short', 24, 'short $ hair'), ...numbered('long', 21, 'long $ hair') },
    },
    has: [
      {
        option: 'glasses',
        chance: 0.3,
        words: {
          light07: 'glasses',
          light06: 'glasses',
          light05: 'glasses',
          dark03: 'sunglasses',
          dark02: 'sunglasses',
          dark01: 'sunglasses',
        },
      },
      { option: 'beard', chance: 0.2, words: numbered('variant', 4, 'a beard') },
    ],
    skin: { option: 'skinColor', values: skinColours },
    clothes: { option: 'clothingColor', values: clothColours },
    mood: [
      {
        option: 'mouth',
        words: {
          happy11: 'smiling',
          happy09: 'smiling',
          happy07: 'smiling',
          sad06: '',
          sad05: '',
          sad07: '',
        },
      },
    ],
    without: ['hat', 'accessories'],
  },
  {
    name: 'personas',
    licence: 'CC-BY-4.0',
    words: 'flat portrait',
    hairColour: { option: 'hairColor', values: hairColours },
    hair: {
      option: 'hair',
      words: {
        long: 'long $ hair',
        extraLong: 'very long $ hair',
        shortCombover: 'short $ hair',
        fade: 'short $ hair',
        curlyHighTop: 'short curly $ hair',
        curly: 'big curly $ hair',
        bobCut: 'a $ bob cut',
        bobBangs: 'a $ bob cut',
        pigtails: '$ pigtails',
        straightBun: '$ hair in a bun and a pink headband',
        mohawk: 'a $ mohawk',
        bald: 'a bald head',
        cap: 'an orange cap',
        beanie: 'a red beanie',
      },
    },
    has: [
      {
        option: 'eyes',
        words: { open: '', happy: '', glasses: 'glasses', sunglasses: 'sunglasses', sleep: 'closed eyes' },
      },
      {
        option: 'facialHair',
        chance: 0.25,
        words: {
          beardMustache: 'a beard',
          walrus: 'a mustache',
          pyramid: 'a mustache',
          goatee: 'a goatee',
        },
      },
    ],
    // The face is drawn paler than this.
    skin: {
      option: 'skinColor',
      values: { light: 'eeb4a4', tan: 'e5a07e', brown: '92594b', dark: '4a2a20' },
    },
    clothes: { option: 'clothingColor', values: clothColours },
    mood: [
      {
        option: 'mouth',
        words: {
          smile: 'smiling',
          bigSmile: 'laughing',
          frown: 'sad',
          surprise: 'surprised',
          pacifier: 'with a pacifier',
        },
      },
    ],
    without: [],
  },
  {
    name: 'bigSmile',
    licence: 'CC-BY-4.0',
    words: 'cartoon head',
    hairColour: { option: 'hairColor', values: hairColours },
    hair: {
      option: 'hair',
      words: {
        shortHair: 'short $ hair',
        mohawk: 'a $ mohawk',
        wavyBob: 'wavy $ hair',
        bowlCutHair: 'a $ bowl cut',
        curlyBob: 'curly $ hair',
        straightHair: 'straight $ hair',
        braids: '$ braids',
        shavedHead: 'very short $ hair',
        bunHair: '$ hair in a bun',
        bangs: 'long $ hair',
        curlyShortHair: 'short curly $ hair',
      },
    },
    has: [
      {
        option: 'accessories',
        chance: 0.4,
        words: {
          catEars: 'cat ears',
          glasses: 'glasses',
          clownNose: 'a clown nose',
          sleepMask: 'a sleep mask',
          sunglasses: 'sunglasses',
          faceMask: 'a face mask',
          mustache: 'a mustache',
        },
      },
    ],
    skin: {
      option: 'skinColor',
      values: { light: 'f5d7b1', tan: 'c99c62', brown: '8c5a2b', dark: '643d19' },
    },
    clothes: null,
    mood: [
      {
        option: 'mouth',
        words: {
          openedSmile: 'laughing',
          teethSmile: 'grinning',
          kawaii: 'smiling',
          unimpressed: '',
        },
      },
    ],
    without: [],
  },
  {
    name: 'toonHead',
    licence: 'CC-BY-4.0',
    words: 'toon portrait',
    hairColour: { option: 'hairColor', values: hairColours },
    hair: {
      option: 'hair',
      words: {
        sideComed: 'short $ hair',
        undercut: 'short $ hair',
        spiky: 'spiky $ hair',
        bun: '$ hair in a bun',
      },
    },
    has: [
      {
        option: 'beard',
        chance: 0.3,
        words: {
          moustacheTwirl: 'a mustache',
          fullBeard: 'a beard',
          longBeard: 'a long beard',
        },
      },
    ],
    skin: {
      option: 'skinColor',
      values: { light: 'f1c3a5', tan: 'd6a57a', brown: 'a36b4f', dark: '5c3829' },
    },
    clothes: { option: 'clothesColor', values: clothColours },
    mood: [
      {
        option: 'mouth',
        words: { laugh: 'laughing', smile: 'smiling', agape: 'surprised', sad: 'sad', angry: 'angry' },
      },
    ],
    without: ['rearHair'],
  },
  {
    name: 'openPeeps',
    licence: 'CC0-1.0',
    words: 'ink portrait',
    hairColour: null,
    hair: {
      option: 'head',
      words: {
        afro: 'an afro',
        buns: 'black hair in buns',
        flatTop: 'a black flat top',
        dreads1: 'black dreadlocks',
        hatHip: 'a black hat',
        hijab: 'a black hijab',
        long: 'long black hair',
        longCurly: 'long curly black hair',
        mediumStraight: 'straight black hair',
        noHair1: 'a bald head',
        short1: 'short black hair',
        short5: 'short black hair',
      },
    },
    has: [
      {
        option: 'accessories',
        chance: 0.3,
        words: {
          eyepatch: 'an eyepatch',
          glasses: 'glasses',
          glasses3: 'glasses',
          sunglasses: 'sunglasses',
        },
      },
      {
        option: 'facialHair',
        chance: 0.2,
        words: { full: 'a beard', full3: 'a beard', moustache5: 'a mustache', moustache3: 'a mustache' },
      },
    ],
    skin: {
      option: 'skinColor',
      values: { light: 'ffdbb4', tan: 'edb98a', brown: 'ae5d29', dark: '694d3d' },
    },
    clothes: { option: 'clothingColor', values: clothColours },
    mood: [
      {
        option: 'face',
        words: {
          smile: 'smiling',
          smileBig: 'grinning',
          smileLOL: 'laughing',
          solemn: 'sad',
          veryAngry: 'angry',
          rage: 'raging',
          serious: '',
          lovingGrin1: 'in love',
          eyesClosed: 'with closed eyes',
        },
      },
    ],
    without: ['mask'],
  },
];

/** How things are said: articles, and the captions of one picture. */
import type { Concept } from './concepts.js';

/** Nouns that take no article, as the last word of a name. */
const uncountable = new Set(
  (
    'bacon bread butter cheese corn cream fire garlic grass hair honey ice luggage meat milk money moon mud music ' +
    'popcorn rain rice salad salt sand seafood smoke snow sushi tofu water wood wool yarn'
  ).split(' '),
);
/** Names in these groups are things that one can have one of. */
const thingGroups = /animals|food|travel|activities|objects/;
const soundsLikeConsonant = /^(eu|one|uni|use|ufo)/i;

/** `an apple`, `a unicorn`. */
export const withArticle = (name: string): string =>
  `${/^[aeiou]/i.test(name) && !soundsLikeConsonant.test(name) ? 'an' : 'a'} ${name}`;

/** Whether `a` goes before the name: one thing, of more than a quality. */
function isThing({ name, group }: Pick<Concept, 'name' | 'group'>): boolean {
  const last = name.split(' ').at(-1)!;
  const isPlural = /[^su]s$/.test(last) || / and /.test(name);
  const isOther = /[:’0-9]|^(an?|the|two|three) |(^|un)locked|^no |oncoming|thirty$/.test(name);
  return thingGroups.test(group) && !isPlural && !isOther && !uncountable.has(last);
}

/** With its article where one belongs. */
export const inSentence = (concept: Pick<Concept, 'name' | 'group'>): string =>
  isThing(concept) ? withArticle(concept.name) : concept.name;

/**
 * What can be said of a drawing, the main caption first.
 *
 * @param style how it looks, as `flat emoji`
 * @param others concepts that the same drawing stands for besides
 */
export function captionsOf(concept: Concept, style: string, others: readonly Concept[]): string[] {
  const { name } = concept;
  const sentence = inSentence(concept);
  const country = /^flag: (.*)$/.exec(name)?.[1];
  return [
    ...new Set([
      `${name}, ${style}`,
      name,
      ...(country ? [`flag of ${country}`] : []),
      ...(sentence === name ? [] : [sentence]),
      ...(isThing(concept) ? [`${withArticle(style)} of ${sentence}`] : []),
      ...others.map((other) => `${other.name}, ${style}`),
    ]),
  ];
}

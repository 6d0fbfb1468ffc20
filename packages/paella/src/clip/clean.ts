import { decodeHTML } from 'entities/decode';

/** Single and double quotes that writing programs make of straight ones. */
const SINGLE_QUOTES = /[\u02bc\u2018-\u201b]/g;
const DOUBLE_QUOTES = /[\u201c-\u201f]/g;
/** Letters that are printed as one: ﬁ; and letters as wide as Chinese ones: Ａ. */
const LIGATURES = /[\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\ufb00-\ufb06]/g;
const WIDE = /[\uff01-\uffef\u3000]/g;
/** Those of ASCII that neither end a line nor stand for a space, and marks that programs leave in texts. */
const CONTROLS = /(?![\t\n\f\r\u0080-\u009f])\p{Cc}|[\u206a-\u206f\ufeff\ufff9-\ufffc]/gu;
const SPACES = /[\s\u0085]+/g;

/**
 * A text as open_clip's tokenizer cleans it: HTML entities become what they stand for (`&amp;amp;` too), runs of space
 * one space, letters lower case, and typographic variants the plain characters, as the Python package ftfy does it.
 *
 * Of ftfy, the repair of texts that were decoded in the wrong encoding, and of the codes of terminals, is left out.
 */
export function cleanText(text: string): string {
  // So that quotes which are written as entities become plain, too; as ftfy, not in what may be HTML.
  const unescaped = text.includes('<') ? text : decodeHTML(text);
  const plain = unescaped
    .replace(LIGATURES, (letters) => letters.normalize('NFKC'))
    .replace(WIDE, (letter) => letter.normalize('NFKC'))
    .replace(SINGLE_QUOTES, "'")
    .replace(DOUBLE_QUOTES, '"')
    .replace(CONTROLS, '')
    .normalize('NFC');
  const decoded = decodeHTML(decodeHTML(plain)).replace(CONTROLS, '');
  return decoded.replace(SPACES, ' ').trim().toLowerCase();
}

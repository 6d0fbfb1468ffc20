/** As much of the library as downloads need; a bundler that loads it later takes all of what it is asked to load. */
export { sha256 } from '@noble/hashes/sha2.js';
export { bytesToHex } from '@noble/hashes/utils.js';

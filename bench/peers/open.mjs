import { firstLine } from '../run.mjs';
import { peers as known } from './index.mjs';

/** @typedef {import('./engine.mjs').Peer} Peer */

/**
 * Opens the peers of these names that can be opened here.
 *
 * @param {readonly string[]} names
 * @param {string} adapter
 * @returns {Promise<{ peers: Peer[], missing: Record<string, string> }>} `missing` says why
 */
export async function openPeers(names, adapter) {
  /** @type {Peer[]} */
  const peers = [];
  /** @type {Record<string, string>} */
  const missing = {};
  for (const name of names) {
    try {
      const { open } = await known[name]();
      peers.push(await open(adapter));
    } catch (error) {
      missing[name] = firstLine(error);
    }
  }
  return { peers, missing };
}

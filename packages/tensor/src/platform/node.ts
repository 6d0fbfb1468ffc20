/** What differs in Node. */
export * from './checks.node.js';
export * from './files.node.js';
export * from './gpu.node.js';
export * from './store.node.js';
export * from './wait.node.js';

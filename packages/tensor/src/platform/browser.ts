/** What differs in browsers. */
export * from './files.browser.js';
export * from './gpu.browser.js';
export * from './store.browser.js';
export * from './wait.browser.js';

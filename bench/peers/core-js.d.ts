declare module 'core-js/actual/iterator/index.js';

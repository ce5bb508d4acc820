// Imports as the bundler resolves them: './x' is './x.js', and JupyterLab's packages are stand-ins.
const STANDINS = new URL('./standins.mjs', import.meta.url).href;

export function resolve(name, context, next) {
  if (/^@(jupyterlab|lumino)\//.test(name)) {
    return { url: STANDINS, shortCircuit: true };
  }
  return next(/^\.\.?\//.test(name) && !/\.m?js$/.test(name) ? `${name}.js` : name, context);
}

export function load(url, context, next) {
  return next(url, url.includes('/lib/') ? { ...context, format: 'module' } : context);
}

// Lets Node load what the compiler wrote for the bundler: `node --import ./register.mjs --test`.
import { register } from 'node:module';

register('./hooks.mjs', import.meta.url);

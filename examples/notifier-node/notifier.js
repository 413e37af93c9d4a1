#!/usr/bin/env node
// The plugin "node". poster.js is what it does, plugin.js how any plugin talks with the daemon.
import { serve } from './plugin.js';
import { Poster } from './poster.js';

await serve(new Poster());

// A CommonJS service over HTTP: every request is answered, `/block/MS` after a command that blocks the loop so long.
"use strict";
const { serve } = require("./answers_common.js");
serve();

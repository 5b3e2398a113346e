// The same as answers.js from an ES module, which has no `require` and leaves no `process.mainModule`.
import common from "./answers_common.js";
common.serve();

// Lint rules for the pages' scripts, their tests and this file.

import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: [".venv/", ".cache/", "build/", "dist/", "var/"] },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: "error",
      "no-implicit-coercion": "error",
      "no-shadow": "error",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
    },
  },
  { files: ["api/ui/static/**"], languageOptions: { globals: globals.browser } },
  { files: ["tests/javascript/**"], languageOptions: { globals: globals.nodeBuiltin } },
];
